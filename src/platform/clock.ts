// The real time and the real randomness behind the ports of src/clock.ts.
import { randomBytes } from 'node:crypto';
import type { Clock, RandomSource, Scheduler } from '../clock.ts';

export class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }
}

/** Its timers do not keep the process alive: servers do that. */
export class SystemScheduler implements Scheduler {
  after(milliseconds: number, action: () => void): () => void {
    const timer = setTimeout(action, milliseconds);
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  }
}

export class SystemRandom implements RandomSource {
  bytes(count: number): Uint8Array {
    return randomBytes(count);
  }
}
