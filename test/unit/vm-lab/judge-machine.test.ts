import { describe, expect, it } from 'vitest';
import { advanceFleet } from '../../../vm-lab/boot-progress.ts';
import { judgeFleet, judgeMachine, type Evidence } from '../../../vm-lab/judge-machine.ts';
import { aMachine, eventsOfAJoin, MAC, MACHINE_ID, someHardware } from './lab-builders.ts';

const shown = {
  id: MACHINE_ID,
  state: 'active',
  macs: [MAC],
  certificateSerial: 'abc',
  configDigest: 'sha256:1',
  facts: { serial: 'LAB-1', uuid: '6F80A763-49F5-49D4-A94F-4C465430E9D0' },
};

function someEvidence(overrides: Partial<Evidence> = {}): Evidence {
  const [progress = aMachine()] = eventsOfAJoin().reduce(advanceFleet, [aMachine()]);
  return { hardware: someHardware(), progress, shown, console: 'login:\nproof 1\n', proof: 'proof 1', ...overrides };
}

const brokenClaims = (overrides: Partial<Evidence>) =>
  judgeMachine(someEvidence(overrides))
    .filter(({ holds }) => !holds)
    .map(({ claim }) => claim);

describe('judgeMachine', () => {
  it('finds nothing wrong with a machine that joined', () => {
    expect(brokenClaims({})).toEqual([]);
  });

  it('does not believe the events alone: the server must show the machine as active now', () => {
    expect(brokenClaims({ shown: { ...shown, state: 'failed' } })).toEqual(['it is active']);
  });

  it('does not believe the server alone: the machine itself must show its user, key, file and command', () => {
    expect(brokenClaims({ console: 'login:' })).toEqual(['its console shows user, SSH key, file and command']);
  });

  it('does not take a fallback to another boot option for success', () => {
    expect(brokenClaims({ hardware: someHardware({ firmware: 'ovmf-http' }) })).toEqual([
      'it came the way of its firmware',
    ]);
    expect(brokenClaims({ hardware: someHardware({ firmware: 'bios-ipxe' }) })).toEqual([
      'it came the way of its firmware',
    ]);
  });

  it('breaks every claim of a machine that nobody has seen', () => {
    const checks = judgeMachine(someEvidence({ progress: aMachine(), shown: undefined, console: '' }));
    expect(checks.filter(({ holds }) => holds)).toEqual([]);
  });
});

describe('judgeFleet', () => {
  it('wants as many certificates as machines', () => {
    const other = { ...shown, certificateSerial: 'def' };
    expect(judgeFleet([shown, other]).holds).toBe(true);
    expect(judgeFleet([shown, shown]).holds).toBe(false);
    expect(judgeFleet([shown, undefined]).holds).toBe(false);
  });
});
