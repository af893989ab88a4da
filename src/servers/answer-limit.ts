// How often something may be done for one key within a minute.
import type { Clock } from '../clock.ts';

const WINDOW_MS = 60_000;
/** Keys remembered at once; when full, all are forgotten and counting starts anew. */
const KEYS_LIMIT = 50_000;

export class AnswerLimit {
  readonly #clock: Clock;
  readonly #timesPerMinute: number;
  readonly #windows = new Map<string, { since: number; count: number }>();

  constructor(clock: Clock, timesPerMinute: number) {
    this.#clock = clock;
    this.#timesPerMinute = timesPerMinute;
  }

  /** Counts one more for this key; false when it had its share of this minute. */
  allows(key: string): boolean {
    const now = this.#clock.now();
    const window = this.#windows.get(key);
    if (window === undefined || now - window.since >= WINDOW_MS || now < window.since) {
      if (this.#windows.size >= KEYS_LIMIT) this.#windows.clear();
      this.#windows.set(key, { since: now, count: 1 });
      return true;
    }
    window.count += 1;
    return window.count <= this.#timesPerMinute;
  }
}
