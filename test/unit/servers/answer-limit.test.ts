import { describe, expect, it } from 'vitest';
import { AnswerLimit } from '../../../src/servers/answer-limit.ts';
import { NOON } from '../../support/domain-builders.ts';

describe('AnswerLimit', () => {
  it('gives each key its share of a minute, and a new share in the next one', () => {
    const clock = { time: NOON, now: () => clock.time };
    const limit = new AnswerLimit(clock, 2);
    expect([1, 2, 3].map(() => limit.allows('a'))).toEqual([true, true, false]);
    expect(limit.allows('b')).toBe(true);
    clock.time += 60_000;
    expect(limit.allows('a')).toBe(true);
  });

  it('goes on when the clock steps back', () => {
    const clock = { time: NOON, now: () => clock.time };
    const limit = new AnswerLimit(clock, 1);
    limit.allows('a');
    clock.time -= 3_600_000;
    expect(limit.allows('a')).toBe(true);
  });
});
