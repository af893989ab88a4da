import { describe, expect, it } from 'vitest';
import type { BootEvent, NewBootEvent } from '../../../src/events/boot-event.ts';
import { timelineOf } from '../../../src/web/timeline.ts';
import { anEvent, NOON } from '../../support/domain-builders.ts';

const WAIT: NewBootEvent = { kind: 'script-served', details: { plan: 'wait', reason: 'waits for approval' } };
const KERNEL: NewBootEvent = {
  kind: 'kernel-served',
  details: { image: 'debian-12', sizeBytes: 8_000_000, durationMs: 400 },
};
const ACTIVE: NewBootEvent = {
  kind: 'machine-state',
  details: { from: 'configured', to: 'active', reason: 'reports', by: 'agent' },
};
const MESSAGE: NewBootEvent = { kind: 'agent-message', details: { level: 'info', message: 'hello' } };

/** Events at so many milliseconds after noon. */
function at(...events: readonly (readonly [milliseconds: number, event: NewBootEvent])[]): BootEvent[] {
  return events.map(([milliseconds, event], index) => ({ ...event, seq: index + 1, at: NOON + milliseconds }));
}

describe('timelineOf', () => {
  it('has a step for each event, with the time since the one before', () => {
    const { steps, totalMs, isComplete } = timelineOf(at([0, anEvent()], [1500, KERNEL]));
    expect(steps.map(({ label, sincePreviousMs }) => [label, sincePreviousMs])).toEqual([
      ['DHCP', 0],
      ['Kernel', 1500],
    ]);
    expect(steps[1]?.detail).toBe('8.0 MB in 0.4 s, 20.0 MB/s');
    expect([totalMs, isComplete]).toEqual([1500, false]);
  });

  it('counts what is the same in a row as one step', () => {
    const { steps } = timelineOf(at([0, anEvent()], [5000, WAIT], [10_000, WAIT], [15_000, WAIT], [16_000, KERNEL]));
    expect(steps.map(({ label, count }) => [label, count])).toEqual([
      ['DHCP', 1],
      ['Script', 3],
      ['Kernel', 1],
    ]);
    expect(steps[2]?.sincePreviousMs).toBe(1000);
  });

  it('ends the way where the machine became active; what came after is shown and not counted', () => {
    const timeline = timelineOf(at([0, anEvent()], [2000, KERNEL], [5000, ACTIVE], [90_000, MESSAGE]));
    expect(timeline).toMatchObject({ totalMs: 5000, isComplete: true });
    expect(timeline.steps).toHaveLength(4);
    expect(timeline.shares).toEqual([{ phase: 'image', startMs: 0, lengthMs: 5000 }]);
  });

  it('shares the whole time out among the phases, without a gap', () => {
    const { shares, totalMs } = timelineOf(
      at([0, anEvent()], [1000, anEvent()], [1000, WAIT], [4000, WAIT], [4500, KERNEL], [6000, MESSAGE]),
    );
    expect(shares.map(({ phase, lengthMs }) => [phase, lengthMs])).toEqual([
      ['network', 1000],
      ['waiting', 3000],
      ['image', 2000],
    ]);
    expect(shares.reduce((sum, { lengthMs }) => sum + lengthMs, 0)).toBe(totalMs);
  });

  it('is empty for no events', () => {
    expect(timelineOf([])).toEqual({ steps: [], totalMs: 0, isComplete: false, shares: [] });
  });

  it('marks failures and warnings as trouble', () => {
    const failed: NewBootEvent = { kind: 'config-failed', details: { digest: 'x', reason: 'y' } };
    const warning: NewBootEvent = { kind: 'agent-message', details: { level: 'warn', message: 'hot' } };
    const { steps } = timelineOf(at([0, failed], [1, warning], [2, MESSAGE]));
    expect(steps.map(({ phase }) => phase)).toEqual(['trouble', 'trouble', 'note']);
  });
});
