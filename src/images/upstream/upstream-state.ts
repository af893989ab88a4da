// What a cache knows of its upstream for a while: that it is down, that it has no such thing, that a tag was just looked at.
// Bounded, and gone with the process: nothing here is needed to be right.
import type { Clock } from '../../clock.ts';

const MAX_ENTRIES = 10_000;

export class ExpiringMap<Value> {
  readonly #entries = new Map<string, { readonly value: Value; readonly until: number }>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.until > this.#clock.now()) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, value: Value, milliseconds: number): void {
    this.#entries.delete(key);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size >= MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
    this.#entries.set(key, { value, until: this.#clock.now() + milliseconds });
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}

/** Lets everybody who asks for the same thing at the same time wait for one answer. */
export class SingleFlight<Value> {
  readonly #flights = new Map<string, Promise<Value>>();

  run(key: string, action: () => Promise<Value>): Promise<Value> {
    const under = this.#flights.get(key);
    if (under !== undefined) return under;
    const flight = action().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }
}
