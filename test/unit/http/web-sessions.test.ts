import { describe, expect, it } from 'vitest';
import { WebSessions } from '../../../src/http/web-sessions.ts';
import { countingRandom } from '../../support/service-world.ts';

describe('WebSessions', () => {
  it('keeps a thousand sessions; the oldest makes room', () => {
    const sessions = new WebSessions({ clock: { now: () => 0 }, random: countingRandom() });
    const ids = Array.from({ length: 1001 }, () => sessions.open());
    expect(new Set(ids).size).toBe(1001);
    expect(ids.map((id) => sessions.isOpen(id)).filter((isOpen) => !isOpen)).toHaveLength(1);
    expect(sessions.isOpen(ids[0]!)).toBe(false);
  });
});
