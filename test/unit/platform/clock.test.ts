import { describe, expect, it } from 'vitest';
import { SystemClock, SystemRandom, SystemScheduler } from '../../../src/platform/clock.ts';

describe('the system behind the ports of time and randomness', () => {
  it('tells milliseconds since 1970', () => {
    expect(Math.abs(new SystemClock().now() - Date.now())).toBeLessThan(1000);
  });

  it('calls once after the time, and not at all when called off', async () => {
    const calls: string[] = [];
    const scheduler = new SystemScheduler();
    scheduler.after(1, () => calls.push('kept'));
    scheduler.after(1, () => calls.push('called off'))();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(calls).toEqual(['kept']);
  });

  it('gives as many bytes as asked for, other ones each time', () => {
    const random = new SystemRandom();
    expect(random.bytes(32)).toHaveLength(32);
    expect(Buffer.from(random.bytes(32)).equals(random.bytes(32))).toBe(false);
  });
});
