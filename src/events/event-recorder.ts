// Takes events from everywhere, numbers and stores them in batches, and tells the listeners (live pages, --follow) once
// they are on record. Knows nothing of what the events mean.
import type { BootEvent, NewBootEvent } from './boot-event.ts';
import type { EventLog } from './event-log.ts';
import type { Clock, Scheduler } from '../clock.ts';

/** So many events may wait for the store; beyond it the oldest are dropped and counted. */
const QUEUE_LIMIT = 20_000;
const FLUSH_AFTER_MS = 50;

export type EventListener = (event: BootEvent) => void;

export class EventRecorder {
  readonly #log: EventLog;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #onFailure: (error: unknown) => void;
  readonly #listeners = new Set<EventListener>();
  #queue: { at: number; event: NewBootEvent }[] = [];
  #flushing: Promise<void> = Promise.resolve();
  #cancelTimer: (() => void) | undefined;
  #dropped = 0;

  constructor(parts: { log: EventLog; clock: Clock; scheduler: Scheduler; onFailure: (error: unknown) => void }) {
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#scheduler = parts.scheduler;
    this.#onFailure = parts.onFailure;
  }

  /** Events that were lost because the store could not keep up. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Queues an event; it is stored within FLUSH_AFTER_MS. For what happens on the wire. */
  record(event: NewBootEvent): void {
    if (this.#queue.length >= QUEUE_LIMIT) {
      this.#queue.shift();
      this.#dropped += 1;
    }
    this.#queue.push({ at: this.#clock.now(), event });
    this.#cancelTimer ??= this.#scheduler.after(FLUSH_AFTER_MS, () => {
      void this.flush();
    });
  }

  /** Stores an event and everything queued before it; resolves when it is on record. For what must not be lost. */
  async recordNow(event: NewBootEvent): Promise<void> {
    this.record(event);
    await this.flush();
  }

  /** Calls the listener for each event from now on; returns the function that ends it. */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Stores what is queued. */
  flush(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#flushing = this.#flushing.then(() => this.#writeBatch());
    return this.#flushing;
  }

  async #writeBatch(): Promise<void> {
    if (this.#queue.length === 0) return;
    const batch = this.#queue;
    this.#queue = [];
    try {
      const stored = await this.#log.append(batch);
      for (const event of stored) for (const listener of this.#listeners) listener(event);
    } catch (error) {
      this.#dropped += batch.length;
      this.#onFailure(error);
    }
  }
}
