import { describe, expect, it } from 'vitest';
import { KeyedQueue } from '../../src/keyed-queue.ts';

describe('KeyedQueue', () => {
  it('runs actions of one key one after the other, in order, past failures', async () => {
    const queue = new KeyedQueue();
    const log: string[] = [];
    const action = (name: string) => async () => {
      log.push(`${name} begins`);
      await Promise.resolve();
      log.push(`${name} ends`);
      if (name === 'b') throw new Error('b failed');
      return name;
    };
    const results = await Promise.allSettled(['a', 'b', 'c'].map((name) => queue.run('key', action(name))));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  });

  it('does not let one key wait for another', async () => {
    const queue = new KeyedQueue();
    let release: () => void = () => undefined;
    const held = queue.run('slow', () => new Promise<void>((resolve) => (release = resolve)));
    expect(await queue.run('other', () => Promise.resolve('done'))).toBe('done');
    release();
    await held;
  });
});
