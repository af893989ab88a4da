// How many answers one MAC address gets: firmware asks a handful of times a boot, a broken or hostile one without end.
import type { Clock } from '../clock.ts';

const ANSWERS_PER_MINUTE = 60;
const WINDOW_MS = 60_000;
/** Addresses remembered at once; when full, all are forgotten and counting starts anew. */
const ADDRESSES_LIMIT = 50_000;

export class AnswerLimit {
  readonly #clock: Clock;
  readonly #windows = new Map<string, { since: number; count: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts one answer to this address; false when it had its share of this minute. */
  allows(address: string): boolean {
    const now = this.#clock.now();
    const window = this.#windows.get(address);
    if (window === undefined || now - window.since >= WINDOW_MS || now < window.since) {
      if (this.#windows.size >= ADDRESSES_LIMIT) this.#windows.clear();
      this.#windows.set(address, { since: now, count: 1 });
      return true;
    }
    window.count += 1;
    return window.count <= ANSWERS_PER_MINUTE;
  }
}
