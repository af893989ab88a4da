// Sessions of people who logged in to the web page: random ids kept in memory, bounded in number and age. A restart of
// the server logs everybody out, which is cheap for them and leaves nothing to steal from the disk.
import type { Clock, RandomSource } from '../clock.ts';

export const SESSION_SECONDS = 12 * 3600;
const MAX_SESSIONS = 1_000;

export class WebSessions {
  readonly #clock: Clock;
  readonly #random: RandomSource;
  readonly #expiries = new Map<string, number>();

  constructor(parts: { readonly clock: Clock; readonly random: RandomSource }) {
    this.#clock = parts.clock;
    this.#random = parts.random;
  }

  /** Opens a session and returns its id; the oldest one ends where there are too many. */
  open(): string {
    const [oldest] = this.#expiries.keys();
    if (this.#expiries.size >= MAX_SESSIONS && oldest !== undefined) this.#expiries.delete(oldest);
    const id = Buffer.from(this.#random.bytes(32)).toString('base64url');
    this.#expiries.set(id, this.#clock.now() + SESSION_SECONDS * 1000);
    return id;
  }

  isOpen(id: string): boolean {
    const expiry = this.#expiries.get(id);
    if (expiry === undefined) return false;
    if (this.#clock.now() < expiry) return true;
    this.#expiries.delete(id);
    return false;
  }

  close(id: string): void {
    this.#expiries.delete(id);
  }
}
