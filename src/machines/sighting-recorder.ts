// When machines were last heard of. Heartbeats of a whole fleet come by the hundred a second, and each synced write costs a
// disk its time: they are kept in memory and written together, a second apart.
import type { Clock, Scheduler } from '../clock.ts';
import type { MachineId } from './machine.ts';
import type { MachineStore } from './machine-store.ts';

const WRITE_AFTER_MS = 1000;

export class SightingRecorder {
  readonly #store: Pick<MachineStore, 'touch'>;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #onFailure: (error: unknown) => void;
  #waiting = new Map<MachineId, number>();
  #cancelTimer: (() => void) | undefined;

  constructor(parts: {
    store: Pick<MachineStore, 'touch'>;
    clock: Clock;
    scheduler: Scheduler;
    onFailure: (error: unknown) => void;
  }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#scheduler = parts.scheduler;
    this.#onFailure = parts.onFailure;
  }

  /** The machine was heard of now; returns that time. */
  saw(id: MachineId): number {
    const now = this.#clock.now();
    this.#waiting.set(id, now);
    this.#cancelTimer ??= this.#scheduler.after(WRITE_AFTER_MS, () => void this.flush());
    return now;
  }

  /** Writes what is waiting. Never throws: the next sighting says it again. */
  async flush(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const sightings = this.#waiting;
    this.#waiting = new Map();
    try {
      await this.#store.touch(sightings);
    } catch (error) {
      this.#onFailure(error);
    }
  }
}
