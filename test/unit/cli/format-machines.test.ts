import { describe, expect, it } from 'vitest';
import type { MachineAnswer } from '../../../src/cli/api-answers.ts';
import {
  formatExplanation,
  formatMachine,
  formatMachines,
  formatStateChange,
} from '../../../src/cli/format-machines.ts';
import { PLAIN } from '../../../src/cli/style.ts';
import { aMac, aMachine, NOON } from '../../support/domain-builders.ts';

const LAYOUT = { style: PLAIN, columns: undefined };

describe('formatMachines', () => {
  it('has a line for each machine, counts the states, and says how to let one in', () => {
    const waiting = shown({ lastSeenAt: NOON - 3000 });
    const active = shown({
      macs: [aMac(2)],
      state: 'active',
      hostname: 'node-1',
      address: '192.0.2.7',
      profile: 'worker',
    });
    const text = formatMachines([waiting, active], NOON, LAYOUT);
    expect(text).toMatch(/● discovered {3}52:54:00:00:00:01 {3}– +– +– +3 s ago {3}machine-1/);
    expect(text).toMatch(/● active .*node-1 +192\.0\.2\.7 +worker +now/);
    expect(text).toContain('2 machines: 1 discovered, 1 active\n');
    expect(text).toContain('muster machines approve MAC');
  });

  it('gives no advice when nobody waits, and a hint when there is nobody', () => {
    expect(formatMachines([shown({ state: 'active' })], NOON, LAYOUT)).not.toContain('approve');
    expect(formatMachines([], NOON, LAYOUT)).toContain('No machines yet');
  });

  it('escapes a host name that a machine made up', () => {
    expect(formatMachines([shown({ hostname: 'a\u001b]0;x\u0007' })], NOON, LAYOUT)).toContain('a\\u{1b}]0;x\\u{7}');
  });
});

describe('formatMachine', () => {
  it('shows what is known, and leaves out what is not', () => {
    const text = formatMachine(
      shown({
        state: 'active',
        stateReason: 'its agent reports health',
        hostname: 'node-1',
        labels: { rack: '7', role: 'worker' },
        facts: {
          vendor: 'QEMU',
          product: 'Standard PC',
          cpu: 'EPYC',
          cpuCount: 4,
          memoryBytes: 2 ** 31,
          disks: [
            { name: 'vda', sizeBytes: 2 ** 34 },
            { name: 'vdb', sizeBytes: 2 ** 30, model: 'Disk' },
          ],
        },
      }),
      NOON + 65_000,
      PLAIN,
    );
    expect(text).toContain('● active  node-1  since 1 min 5 s\n  its agent reports health\n');
    expect(text).toMatch(/Labels +rack=7 · role=worker/);
    expect(text).toMatch(/CPU +EPYC · 4 threads/);
    expect(text).toMatch(/Disks +vda · 16\.0 GiB\n +vdb · 1\.00 GiB · Disk/);
    expect(text).not.toMatch(/Serial|UUID|undefined/);
  });
});

describe('formatStateChange', () => {
  it('is one line', () => {
    const text = formatStateChange(shown({ state: 'approved', stateReason: 'approved by admin' }), PLAIN);
    expect(text).toBe('  ● approved  52:54:00:00:00:01  approved by admin\n');
  });
});

describe('formatExplanation', () => {
  const candidates = [
    { profile: 'storage', matches: false, reasons: ['label role is not storage'] },
    { profile: 'default', matches: true, reasons: ['fits every machine'] },
  ];

  it('tells each profile that was asked, with its reasons, and the winner', () => {
    const plan = { kind: 'boot-image', reason: 'profile default' };
    const text = formatExplanation({ machine: shown(), winner: 'default', candidates, plan }, PLAIN);
    expect(text).toContain('  · storage\n      label role is not storage\n  ✓ default\n      fits every machine\n');
    expect(text).toMatch(/Profile +default\n +Plan +boot-image: profile default/);
  });

  it('serves for a machine that was never seen, and for no profiles', () => {
    const plan = { kind: 'none', reason: 'no profile matches' };
    const text = formatExplanation({ candidates: [], plan }, PLAIN);
    expect(text).toContain('never seen');
    expect(text).toContain('none matches');
    expect(text).toContain('There are no profiles');
  });
});

function shown(overrides: Parameters<typeof aMachine>[0] = {}): MachineAnswer {
  return JSON.parse(JSON.stringify(aMachine(overrides))) as MachineAnswer;
}
