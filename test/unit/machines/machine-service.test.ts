import { describe, expect, it } from 'vitest';
import type { Machine } from '../../../src/machines/machine.ts';
import type { AgentReport, MachineOutcome } from '../../../src/machines/machine-service.ts';
import { aMac, anImage } from '../../support/domain-builders.ts';
import { aProfile, aServiceWorld, sha256 } from '../../support/service-world.ts';

const seen = { mac: aMac(), architecture: 'x64-uefi' };

function machineOf(outcome: MachineOutcome): Machine {
  if (outcome.kind === 'refused') throw new Error(outcome.message);
  return outcome.machine;
}

describe('observe', () => {
  it('discovers an unknown machine and lets it wait by default', async () => {
    const world = aServiceWorld();
    expect(await world.machines.observe(seen)).toMatchObject({ state: 'discovered', macs: [aMac()] });
    expect((await world.recorded()).map(({ kind }) => kind)).toEqual(['machine-discovered']);
  });

  it('approves at once where policy says enroll, and says by which policy', async () => {
    const world = aServiceWorld({ unknownMachines: 'enroll' });
    expect(await world.machines.observe(seen)).toMatchObject({ state: 'approved' });
    expect((await world.recorded()).at(-1)).toMatchObject({ details: { to: 'approved', by: 'default policy' } });
  });

  it('lets a profile overrule the default, both ways', async () => {
    const open = aServiceWorld({ profiles: [aProfile({ enrollment: 'automatic' })] });
    expect(await open.machines.observe(seen)).toMatchObject({ state: 'approved' });
    const closed = aServiceWorld({ profiles: [aProfile({ enrollment: 'approval' })], unknownMachines: 'enroll' });
    expect(await closed.machines.observe(seen)).toMatchObject({ state: 'discovered' });
  });

  it('gives the same machine for the same MAC, however many ask at once', async () => {
    const world = aServiceWorld();
    const machines = await Promise.all(Array.from({ length: 20 }, () => world.machines.observe(seen)));
    expect(new Set(machines.map((machine) => machine?.id)).size).toBe(1);
    expect(await world.stores.machines.count()).toBe(1);
  });

  it('stops at the limit on machines: a flood of addresses cannot fill the store', async () => {
    const world = aServiceWorld({ maxMachines: 2 });
    for (const number of [1, 2, 3]) await world.machines.observe({ ...seen, mac: aMac(number) });
    expect(await world.stores.machines.count()).toBe(2);
    expect(await world.machines.observe(seen)).toBeDefined();
  });
});

describe('resolve', () => {
  it('finds a machine by id, start of the id, MAC in any spelling and host name', async () => {
    const world = aServiceWorld();
    const machine = await world.machines.observe(seen);
    const id = machine?.id ?? '';
    for (const ref of [id, id.slice(0, 6), '52-54-00-00-00-01', '525400000001'])
      expect(machineOf(await world.machines.resolve(ref)).id).toBe(id);
    expect(await world.machines.resolve('nobody')).toMatchObject({ kind: 'refused', code: 'not-found' });
  });
});

describe('configReported', () => {
  const layers = { base: { write_files: [{ path: '/etc/motd', content: 'hello\n' }] } };
  const profiles = [aProfile({ hostname: 'node-1', cloudConfig: ['base'] })];

  async function anEnrolledMachine() {
    const world = aServiceWorld({ layers, profiles, unknownMachines: 'enroll' });
    const machine = await world.machines.observe(seen);
    if (machine === undefined) throw new Error('no machine');
    await world.stores.machines.save({ ...machine, state: 'enrolled' });
    const { digest } = world.machines.configOf(machine);
    const report: AgentReport = {
      cloudInit: 'done',
      configDigest: digest,
      hostname: 'node-1',
      files: [{ path: '/etc/motd', sha256: sha256('hello\n') }],
    };
    return { world, id: machine.id, report };
  }

  it('configures a machine whose report matches what was served, and the next heartbeat makes it active', async () => {
    const { world, id, report } = await anEnrolledMachine();
    expect(await world.machines.configReported(id, report)).toMatchObject({ state: 'configured', hostname: 'node-1' });
    expect(await world.machines.heartbeat(id)).toMatchObject({ state: 'active' });
    world.clock.time += 5000;
    await world.machines.heartbeat(id);
    await world.sightings.flush();
    expect(await world.machines.get(id)).toMatchObject({ lastSeenAt: world.clock.time });
  });

  it.each([
    ['cloud-init failed', { cloudInit: 'error', detail: 'bad user' }, 'cloud-init says error: bad user'],
    ['another version was applied', { configDigest: 'sha256:0' }, 'another version'],
    ['the host name is another', { hostname: 'localhost' }, 'the host name is localhost, wanted node-1'],
    ['a file is missing', { files: [] }, '/etc/motd is not there'],
    ['a file differs', { files: [{ path: '/etc/motd', sha256: 'f'.repeat(64) }] }, '/etc/motd has other content'],
  ] as const)('fails a machine with the reason when %s', async (_, change, reason) => {
    const { world, id, report } = await anEnrolledMachine();
    expect(await world.machines.configReported(id, { ...report, ...change })).toMatchObject({
      state: 'failed',
      stateReason: expect.stringContaining(reason),
    });
    expect((await world.recorded()).map(({ kind }) => kind)).toContain('config-failed');
  });

  it('waits while cloud-init is running', async () => {
    const { world, id, report } = await anEnrolledMachine();
    expect(await world.machines.configReported(id, { ...report, cloudInit: 'running' })).toMatchObject({
      state: 'enrolled',
    });
  });

  it('leaves an active machine active when its config was changed after it booted', async () => {
    const { world, id, report } = await anEnrolledMachine();
    await world.machines.configReported(id, report);
    await world.machines.heartbeat(id);
    const changed = { ...report, configDigest: 'sha256:of-before', files: [] };
    expect(await world.machines.configReported(id, changed)).toMatchObject({ state: 'active' });
  });

  it('takes a failed machine back when it reports what was wanted', async () => {
    const { world, id, report } = await anEnrolledMachine();
    await world.machines.configReported(id, { ...report, cloudInit: 'error' });
    expect(await world.machines.configReported(id, report)).toMatchObject({ state: 'configured' });
  });
});

describe('approve and retire', () => {
  it('are idempotent and put each change on record once, with who did it', async () => {
    const world = aServiceWorld();
    await world.machines.observe(seen);
    await world.machines.approve(aMac(), 'alice');
    await world.machines.approve(aMac(), 'bob');
    await world.machines.retire(aMac(), 'carol');
    const changes = (await world.recorded()).filter(({ kind }) => kind === 'machine-state');
    expect(changes.map(({ details }) => details)).toMatchObject([
      { to: 'approved', by: 'alice' },
      { to: 'retired', by: 'carol' },
    ]);
  });
});

describe('explain', () => {
  it('says for a known machine what it would boot, and for an unknown MAC which profiles could fit', async () => {
    const world = aServiceWorld({
      profiles: [aProfile(), aProfile({ name: 'big', priority: 5, match: { vendor: 'Dell*' } })],
    });
    world.images.put(anImage());
    await world.machines.observe(seen);
    expect(await world.machines.explain(aMac())).toMatchObject({ winner: 'lab', plan: { kind: 'wait' } });
    expect(await world.machines.explain('aa:bb:cc:00:00:01')).toMatchObject({
      kind: 'explained',
      winner: 'lab',
      candidates: [
        { profile: 'big', matches: false, reasons: ['vendor is not known, wanted Dell*'] },
        { profile: 'lab' },
      ],
    });
    expect(await world.machines.explain('nobody')).toMatchObject({ kind: 'refused' });
  });
});
