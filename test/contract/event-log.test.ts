import { beforeEach, describe, expect, it } from 'vitest';
import type { NewBootEvent } from '../../src/events/boot-event.ts';
import type { EventLog, EventQuery } from '../../src/events/event-log.ts';
import { aMac, aMachineId, anEvent, aSessionId, NOON } from '../support/domain-builders.ts';
import { STORE_ADAPTERS, storesOf } from './store-adapters.ts';

function stamped(...events: NewBootEvent[]): { at: number; event: NewBootEvent }[] {
  return events.map((event, index) => ({ at: NOON + index, event }));
}

function many(count: number): { at: number; event: NewBootEvent }[] {
  return stamped(...Array.from({ length: count }, () => anEvent()));
}

describe.each(STORE_ADAPTERS)('EventLog ($name)', (adapter) => {
  const open = storesOf(adapter);
  let log: EventLog;
  beforeEach(() => {
    log = open().stores.events;
  });

  const seqsOf = async (query: EventQuery): Promise<number[]> => (await log.query(query)).map(({ seq }) => seq);

  describe('append', () => {
    it('gives each event its number and time, in the order given, and puts it on record', async () => {
      const about = { machineId: aMachineId(), mac: aMac(), sessionId: aSessionId() };
      const events = stamped(
        { kind: 'machine-discovered', details: { architecture: 'x64-uefi', address: '192.0.2.7' }, ...about },
        anEvent({ mac: aMac(2) }),
        { kind: 'server-started', details: { version: '0.1.0' } },
      );
      const stored = await log.append(events);
      expect(stored).toEqual(events.map(({ at, event }, index) => ({ ...event, at, seq: index + 1 })));
      expect(await log.query({ limit: 10 })).toEqual(stored);
    });

    it('writes nothing for nothing', async () => {
      expect(await log.append([])).toEqual([]);
      expect(await log.query({ limit: 10 })).toEqual([]);
    });

    it('takes a batch of 2,000', async () => {
      const stored = await log.append(many(2_000));
      expect(stored.map(({ seq }) => seq)).toEqual(Array.from({ length: 2_000 }, (_, index) => index + 1));
      expect(await log.query({ limit: 5_000 })).toEqual(stored);
    });

    it('numbers without gap or repetition when many write at once, and keeps each batch together', async () => {
      const second = (await open().second()).events;
      const batches = await Promise.all(
        Array.from({ length: 40 }, (_, number) => (number % 2 === 0 ? log : second).append(many(5))),
      );
      const firsts = batches.map((batch) => batch[0]!.seq);
      for (const [index, batch] of batches.entries())
        expect(batch.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4].map((offset) => firsts[index]! + offset));
      expect(firsts.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, index) => index * 5 + 1));
    });
  });

  describe('query', () => {
    it('gives the newest ones in rising order when no start is named', async () => {
      await log.append(many(10));
      expect(await seqsOf({ limit: 3 })).toEqual([8, 9, 10]);
      expect(await seqsOf({ limit: 0 })).toEqual([]);
    });

    it('pages forward from a number without loss or repetition', async () => {
      await log.append(many(10));
      expect(await seqsOf({ limit: 4, afterSeq: 0 })).toEqual([1, 2, 3, 4]);
      expect(await seqsOf({ limit: 4, afterSeq: 4 })).toEqual([5, 6, 7, 8]);
      expect(await seqsOf({ limit: 4, afterSeq: 8 })).toEqual([9, 10]);
      expect(await seqsOf({ limit: 4, afterSeq: 10 })).toEqual([]);
    });

    it.each<[string, Omit<EventQuery, 'limit'>, number[]]>([
      ['machine', { machineId: aMachineId('a') }, [1, 3]],
      ['MAC', { mac: aMac(2) }, [2, 3]],
      ['session', { sessionId: aSessionId() }, [3]],
      ['kind', { kind: 'server-started' }, [4]],
      ['machine and MAC', { machineId: aMachineId('a'), mac: aMac(2) }, [3]],
      ['machine and start', { machineId: aMachineId('a'), afterSeq: 1 }, [3]],
      ['something that never happened', { kind: 'config-failed' }, []],
    ])('filters by %s', async (_name, query, expected) => {
      await log.append(
        stamped(
          anEvent({ machineId: aMachineId('a'), mac: aMac(1) }),
          anEvent({ machineId: aMachineId('b'), mac: aMac(2) }),
          anEvent({ machineId: aMachineId('a'), mac: aMac(2), sessionId: aSessionId() }),
          { kind: 'server-started', details: { version: '0.1.0' } },
        ),
      );
      expect(await seqsOf({ ...query, limit: 10 })).toEqual(expected);
    });

    it('counts the limit after the filter', async () => {
      await log.append(
        Array.from({ length: 20 }, (_, index) => ({ at: NOON, event: anEvent({ mac: aMac(index % 2) }) })),
      );
      expect(await seqsOf({ mac: aMac(1), limit: 2 })).toEqual([18, 20]);
    });
  });

  describe('prune', () => {
    it('removes all but the newest and says how many went', async () => {
      await log.append(many(10));
      expect(await log.prune(4)).toBe(6);
      expect(await seqsOf({ limit: 100 })).toEqual([7, 8, 9, 10]);
      expect(await log.prune(4)).toBe(0);
      expect(await log.prune(100)).toBe(0);
    });

    it('never gives a number twice, even when everything was removed', async () => {
      await log.append(many(3));
      expect(await log.prune(0)).toBe(3);
      expect((await log.append(many(1))).map(({ seq }) => seq)).toEqual([4]);
    });
  });
});
