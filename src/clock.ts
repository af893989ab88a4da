// PORTS for time and randomness, so that no decision and no test depends on the real ones. Adapter: platform/clock.ts.

export interface Clock {
  /** Milliseconds since 1970 (UTC). */
  now(): number;
}

export interface Scheduler {
  /** Calls `action` once after so many milliseconds; returns the function that calls it off. */
  after(milliseconds: number, action: () => void): () => void;
}

export interface RandomSource {
  /** So many unpredictable bytes. */
  bytes(count: number): Uint8Array;
}

/** SHA-256 as lower-case hex. */
export type Sha256 = (data: string | Uint8Array) => string;
