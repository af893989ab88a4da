import { describe, expect, it } from 'vitest';
import { advanceFleet, failMachine, parseEventLine, STAGES } from '../../../vm-lab/boot-progress.ts';
import { aMachine, anEvent, eventsOfAJoin, MACHINE_ID } from './lab-builders.ts';

describe('advanceFleet', () => {
  it('reaches every stage once and in order, though iPXE asks DHCP again after its loader', () => {
    const [machine] = eventsOfAJoin().reduce(advanceFleet, [aMachine()]);
    expect(machine?.reached.map(({ stage }) => stage)).toEqual(STAGES);
    expect(machine?.stage).toBe('active');
  });

  it('knows events by machine id alone once an event has named both, since agents do not say their address', () => {
    const { mac: _mac, ...byId } = anEvent({
      kind: 'enrolled',
      details: { certificateSerial: 'a', tokenId: 't', notAfter: 0 },
    });
    const stranger = advanceFleet([aMachine()], byId);
    expect(stranger[0]?.stage).toBe('power on');
    const seen = anEvent({ kind: 'machine-discovered', details: { architecture: 'x64-uefi' } });
    const later = { ...byId, seq: seen.seq + 1 };
    const known = [seen, later].reduce(advanceFleet, [aMachine()]);
    expect(known[0]).toMatchObject({ stage: 'enrolled', machineId: MACHINE_ID });
  });

  it('takes an event that comes again after a reconnection only once', () => {
    const event = anEvent({ kind: 'kernel-served', details: { image: 'lab', sizeBytes: 1, durationMs: 1 } });
    const [machine] = [event, event].reduce(advanceFleet, [aMachine()]);
    expect(machine?.events).toHaveLength(1);
  });

  it('fails a machine with the first reason that the server gives', () => {
    const failed = anEvent({ kind: 'config-failed', details: { digest: 'sha256:1', reason: 'cloud-init says error' } });
    const state = anEvent({
      kind: 'machine-state',
      details: { from: 'enrolled', to: 'failed', reason: 'later', by: 'agent' },
    });
    const [machine] = [failed, state].reduce(advanceFleet, [aMachine()]);
    expect(machine?.failure).toBe('its configuration failed: cloud-init says error');
  });
});

describe('failMachine', () => {
  it('keeps the first reason', () => {
    expect(failMachine(failMachine(aMachine(), 'first'), 'second').failure).toBe('first');
  });
});

describe('parseEventLine', () => {
  it('reads an event and answers undefined for what is none', () => {
    const event = anEvent({ kind: 'server-started', details: { version: '0.1.0' } });
    expect(parseEventLine(JSON.stringify(event))).toEqual(event);
    for (const line of ['', 'no json', '{}', '[1]', '{"seq":1,"at":2,"kind":"enrolled"}']) {
      expect(parseEventLine(line)).toBeUndefined();
    }
  });
});
