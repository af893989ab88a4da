import { describe, expect, it } from 'vitest';
import { identifyProcess, isRunning, parseProcessStat } from '../../../vm-lab/process-identity.ts';

const AFTER_NAME = 'S 1 7 7 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 98765 1000 2';

describe('parseProcessStat', () => {
  it('finds state and start time behind a command name with blanks and parentheses (proc(5), field 2)', () => {
    for (const name of ['qemu', 'two words', 'a) S 1 (b', ')']) {
      expect(parseProcessStat(`42 (${name}) ${AFTER_NAME}`)).toEqual({ state: 'S', startTicks: 98_765 });
    }
  });

  it('answers undefined for what is no stat line', () => {
    expect(parseProcessStat('')).toBeUndefined();
    expect(parseProcessStat('42 (qemu) S 1')).toBeUndefined();
  });
});

describe('isRunning', () => {
  it('does not take a later process with the same number for the one that was meant', () => {
    const self = identifyProcess(process.pid);
    expect(self).toBeDefined();
    if (self === undefined) return;
    expect(isRunning(self)).toBe(true);
    expect(isRunning({ ...self, startTicks: self.startTicks - 1 })).toBe(false);
  });
});
