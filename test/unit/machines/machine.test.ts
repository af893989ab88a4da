import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MACHINE_STATES, MACHINE_TRIGGERS, nextState, type MachineState } from '../../../src/machines/machine.ts';

describe('nextState', () => {
  it('never lets a retired machine back but by approval', () => {
    for (const trigger of MACHINE_TRIGGERS)
      expect(nextState('retired', trigger)).toBe(trigger === 'approve' ? 'approved' : undefined);
  });

  it('never makes a discovered machine anything but approved or retired', () => {
    const reachable = MACHINE_TRIGGERS.map((trigger) => nextState('discovered', trigger)).filter(
      (state) => state !== undefined,
    );
    expect(new Set(reachable)).toEqual(new Set(['approved', 'retired']));
  });

  it('reaches active only through enrolled and configured, over any order of events', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...MACHINE_TRIGGERS), { maxLength: 40 }), (triggers) => {
        let state: MachineState = 'discovered';
        let enrolled = false;
        let configured = false;
        for (const trigger of triggers) {
          const next = nextState(state, trigger);
          if (next === undefined) continue;
          expect(MACHINE_STATES).toContain(next);
          if (next === 'enrolled') [enrolled, configured] = [true, false];
          if (next === 'configured') configured = true;
          if (next === 'approved' || next === 'retired') [enrolled, configured] = [false, false];
          if (next === 'active') expect(enrolled && configured).toBe(true);
          state = next;
        }
      }),
    );
  });
});
