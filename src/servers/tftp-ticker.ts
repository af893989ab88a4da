// Deadlines of many transfers from one coarse timer: arming one costs an addition, so it can be done for every ACK. Counts ticks
// of its own, so a step of the wall clock changes nothing. Runs only while it has members.
import type { Scheduler } from '../clock.ts';

export interface TickerMember {
  /** The tick at which onDeadline is called. */
  readonly deadline: number;
  onDeadline(): void;
}

const TICK_MILLISECONDS = 25;

export class Ticker {
  private readonly scheduler: Scheduler;
  private readonly members = new Set<TickerMember>();
  private callOff: (() => void) | undefined;
  private tick = 0;

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
  }

  get now(): number {
    return this.tick;
  }

  /** The tick that lies so many milliseconds ahead. */
  ahead(milliseconds: number): number {
    return this.tick + Math.ceil(milliseconds / TICK_MILLISECONDS);
  }

  add(member: TickerMember): void {
    this.members.add(member);
    this.run();
  }

  remove(member: TickerMember): void {
    this.members.delete(member);
    if (this.members.size > 0) return;
    this.callOff?.();
    this.callOff = undefined;
  }

  private run(): void {
    if (this.members.size === 0) return;
    this.callOff ??= this.scheduler.after(TICK_MILLISECONDS, () => {
      this.callOff = undefined;
      this.tick += 1;
      for (const member of this.members) {
        if (member.deadline <= this.tick) member.onDeadline();
      }
      this.run();
    });
  }
}
