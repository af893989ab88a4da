import { beforeEach, describe, expect, it } from 'vitest';
import type { Machine } from '../../src/machines/machine.ts';
import type { MachineStore } from '../../src/machines/machine-store.ts';
import { aMac, aMachine, aMachineId, NOON } from '../support/domain-builders.ts';
import { STORE_ADAPTERS, storesOf } from './store-adapters.ts';

/** Everything that a machine can have. */
const COMPLETE: Machine = aMachine({
  macs: [aMac(9), aMac(1), aMac(5)],
  uuid: '4c4c4544-0042-3510-8054-b4c04f4d3732',
  serial: 'B5MT7M2',
  hostname: 'node-1',
  architecture: 'x64-uefi',
  state: 'active',
  labels: { rack: 'A1', 'quote"d': 'ü\u0000' },
  facts: { vendor: 'Dell Inc.', memoryBytes: 2 ** 40, disks: [{ name: 'sda', sizeBytes: 4_000_787_030_016 }] },
  profile: 'workers',
  image: 'debian-12',
  address: '192.0.2.17',
  certificateSerial: '0a',
  configDigest: 'sha256:00',
});

describe.each(STORE_ADAPTERS)('MachineStore ($name)', (adapter) => {
  const open = storesOf(adapter);
  let machines: MachineStore;
  beforeEach(() => {
    ({ machines } = open().stores);
  });

  describe('touch', () => {
    it('moves lastSeenAt on, never back, changes nothing else, and passes over machines that are gone', async () => {
      await machines.insert(COMPLETE);
      await machines.touch(
        new Map([
          [COMPLETE.id, NOON + 5],
          [aMachineId('gone'), NOON],
        ]),
      );
      await machines.touch(new Map([[COMPLETE.id, NOON + 1]]));
      await machines.touch(new Map());
      expect(await machines.find(COMPLETE.id)).toEqual({ ...COMPLETE, lastSeenAt: NOON + 5 });
    });
  });

  describe('insert', () => {
    it('gives back every property of what was inserted', async () => {
      await machines.insert(COMPLETE);
      expect(await machines.find(COMPLETE.id)).toEqual(COMPLETE);
    });

    it('leaves absent what was absent', async () => {
      await machines.insert(aMachine());
      expect(Object.keys((await machines.find(aMachineId()))!).sort()).toEqual(Object.keys(aMachine()).sort());
    });

    it('starts at version 1, whatever the machine says', async () => {
      const outcome = await machines.insert(aMachine({ version: 7 }));
      expect(outcome).toEqual({ kind: 'inserted', machine: aMachine({ version: 1 }) });
      expect(await machines.find(aMachineId())).toEqual(aMachine({ version: 1 }));
    });

    it('adds nothing where one of the MACs is on record, and gives the machine that has it', async () => {
      await machines.insert(aMachine({ macs: [aMac(1), aMac(2)] }));
      const outcome = await machines.insert(aMachine({ id: aMachineId('other'), macs: [aMac(3), aMac(2)] }));
      expect(outcome).toEqual({ kind: 'exists', machine: aMachine({ macs: [aMac(1), aMac(2)] }) });
      expect(await machines.find(aMachineId('other'))).toBeUndefined();
      expect(await machines.findByMac(aMac(3))).toBeUndefined();
    });

    it('adds one machine when many ask at once with the same MAC', async () => {
      const second = (await open().second()).machines;
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, (_, number) =>
          (number % 2 === 0 ? machines : second).insert(aMachine({ id: aMachineId(`machine-${number}`) })),
        ),
      );
      expect(outcomes.filter((outcome) => outcome.kind === 'inserted')).toHaveLength(1);
      expect(new Set(outcomes.map((outcome) => outcome.machine.id)).size).toBe(1);
      expect(await machines.count()).toBe(1);
    });

    it('takes a machine that names one MAC twice', async () => {
      await machines.insert(aMachine({ macs: [aMac(1), aMac(1)] }));
      expect((await machines.findByMac(aMac(1)))?.id).toBe(aMachineId());
      expect((await machines.save(aMachine({ macs: [aMac(2), aMac(2)] }))).kind).toBe('saved');
    });

    it('fails rather than overwrite a machine of the same id', async () => {
      await machines.insert(aMachine());
      await expect(machines.insert(aMachine({ macs: [aMac(2)] }))).rejects.toMatchObject({ code: 'storage-failure' });
      expect(await machines.find(aMachineId())).toEqual(aMachine());
      expect(await machines.findByMac(aMac(2))).toBeUndefined();
    });
  });

  describe('finding', () => {
    it('knows nothing of what was never inserted', async () => {
      expect(await machines.find(aMachineId())).toBeUndefined();
      expect(await machines.findByMac(aMac())).toBeUndefined();
      expect(await machines.findByUuid('no-such')).toEqual([]);
    });

    it('finds a machine by each of its MACs', async () => {
      await machines.insert(COMPLETE);
      for (const mac of COMPLETE.macs) expect((await machines.findByMac(mac))?.id).toBe(COMPLETE.id);
    });

    it('keeps the order of the MACs: the first is the one it was first seen with', async () => {
      await machines.insert(COMPLETE);
      expect((await machines.findByMac(aMac(5)))?.macs).toEqual([aMac(9), aMac(1), aMac(5)]);
    });

    it('finds all machines of a UUID, because some vendors ship one UUID many times', async () => {
      await machines.insert(aMachine({ id: aMachineId('b'), macs: [aMac(1)], uuid: 'same', createdAt: NOON + 1 }));
      await machines.insert(aMachine({ id: aMachineId('a'), macs: [aMac(2)], uuid: 'same', createdAt: NOON + 2 }));
      await machines.insert(aMachine({ id: aMachineId('c'), macs: [aMac(3)], uuid: 'other' }));
      await machines.insert(aMachine({ id: aMachineId('d'), macs: [aMac(4)] }));
      expect((await machines.findByUuid('same')).map(({ id }) => id)).toEqual(['b', 'a']);
    });
  });

  describe('list and count', () => {
    beforeEach(async () => {
      await machines.insert(aMachine({ id: aMachineId('old'), macs: [aMac(1)], lastSeenAt: NOON }));
      await machines.insert(aMachine({ id: aMachineId('new'), macs: [aMac(2)], lastSeenAt: NOON + 2 }));
      await machines.insert(
        aMachine({ id: aMachineId('ok'), macs: [aMac(3)], lastSeenAt: NOON + 1, state: 'approved' }),
      );
    });
    const idsOf = async (options: Parameters<MachineStore['list']>[0]): Promise<string[]> =>
      (await machines.list(options)).map(({ id }) => id);

    it('lists the newest activity first', async () => {
      expect(await idsOf({ limit: 10 })).toEqual(['new', 'ok', 'old']);
    });

    it('lists at most `limit` machines', async () => {
      expect(await idsOf({ limit: 2 })).toEqual(['new', 'ok']);
      expect(await idsOf({ limit: 0 })).toEqual([]);
    });

    it('lists and counts one state where one is named', async () => {
      expect(await idsOf({ limit: 10, state: 'discovered' })).toEqual(['new', 'old']);
      expect(await machines.count('discovered')).toBe(2);
      expect(await machines.count('retired')).toBe(0);
      expect(await machines.count()).toBe(3);
    });
  });

  describe('save', () => {
    it('replaces the machine and raises its version by one', async () => {
      await machines.insert(aMachine());
      const changed = { ...COMPLETE, version: 1 };
      expect(await machines.save(changed)).toEqual({ kind: 'saved', machine: { ...changed, version: 2 } });
      expect(await machines.find(aMachineId())).toEqual({ ...changed, version: 2 });
    });

    it('forgets properties that the saved machine no longer has', async () => {
      await machines.insert(COMPLETE);
      await machines.save(aMachine());
      expect(await machines.find(aMachineId())).toEqual(aMachine({ version: 2 }));
      expect(await machines.findByMac(aMac(9))).toBeUndefined();
    });

    it('refuses a stale version and changes nothing', async () => {
      await machines.insert(aMachine());
      await machines.save(aMachine({ hostname: 'first' }));
      expect(await machines.save(aMachine({ hostname: 'second', macs: [aMac(2)] }))).toEqual({ kind: 'stale' });
      expect(await machines.find(aMachineId())).toEqual(aMachine({ hostname: 'first', version: 2 }));
      expect(await machines.findByMac(aMac(2))).toBeUndefined();
    });

    it('calls a machine stale that is not on record', async () => {
      expect(await machines.save(aMachine())).toEqual({ kind: 'stale' });
      expect(await machines.count()).toBe(0);
    });

    it('lets one of many concurrent saves of one version through', async () => {
      await machines.insert(aMachine());
      const second = (await open().second()).machines;
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, (_, number) =>
          (number % 2 === 0 ? machines : second).save(aMachine({ hostname: `writer-${number}` })),
        ),
      );
      const saved = outcomes.filter((outcome) => outcome.kind === 'saved');
      expect(saved).toHaveLength(1);
      expect(await machines.find(aMachineId())).toEqual(saved[0]?.machine);
    });

    it('does not take a MAC away from another machine', async () => {
      await machines.insert(aMachine());
      await machines.insert(aMachine({ id: aMachineId('other'), macs: [aMac(2)] }));
      await expect(machines.save(aMachine({ macs: [aMac(1), aMac(2)] }))).rejects.toMatchObject({ code: 'conflict' });
      expect(await machines.find(aMachineId())).toEqual(aMachine());
      expect((await machines.findByMac(aMac(2)))?.id).toBe('other');
      expect((await machines.findByMac(aMac(1)))?.id).toBe(aMachineId());
    });
  });
});
