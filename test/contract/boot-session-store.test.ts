import { beforeEach, describe, expect, it } from 'vitest';
import { BOOT_CAPABILITIES, type BootSession } from '../../src/boot-sessions/boot-session.ts';
import type { BootSessionStore } from '../../src/boot-sessions/boot-session-store.ts';
import { aMachineId, aSession, aSessionId, NOON } from '../support/domain-builders.ts';
import { STORE_ADAPTERS, storesOf } from './store-adapters.ts';

function hashesOf(name: string): Record<'script' | 'artifacts' | 'seed', string> {
  return { script: `${name}-script`, artifacts: `${name}-artifacts`, seed: `${name}-seed` };
}

describe.each(STORE_ADAPTERS)('BootSessionStore ($name)', (adapter) => {
  const open = storesOf(adapter);
  let sessions: BootSessionStore;
  beforeEach(() => {
    ({ sessions } = open().stores);
  });

  /** Inserts a session whose token hashes are named after its id. */
  async function insert(overrides: Partial<BootSession> = {}): Promise<BootSession> {
    const session = aSession(overrides);
    await sessions.insert(session, hashesOf(session.id));
    return session;
  }

  describe('insert and find', () => {
    it('gives back every property of a session', async () => {
      const session = await insert({ scriptServedAt: NOON + 1, image: 'debian-12', profile: 'workers' });
      expect(await sessions.find(session.id)).toEqual(session);
    });

    it('leaves absent what was absent', async () => {
      const session = await insert();
      expect(Object.keys((await sessions.find(session.id))!).sort()).toEqual(Object.keys(session).sort());
    });

    it('knows nothing of what was never inserted', async () => {
      expect(await sessions.find(aSessionId())).toBeUndefined();
      expect(await sessions.findByTokenHash('no-such')).toBeUndefined();
      expect(await sessions.latestOfMachine(aMachineId())).toBeUndefined();
    });

    it('fails rather than overwrite a session of the same id', async () => {
      await insert();
      await expect(insert({ architecture: 'bios' })).rejects.toMatchObject({ code: 'storage-failure' });
      expect(await sessions.find(aSessionId())).toEqual(aSession());
    });

    it.each(BOOT_CAPABILITIES)('finds by the hash of each token what it opens: %s', async (capability) => {
      await insert({ id: aSessionId('other') });
      const session = await insert();
      expect(await sessions.findByTokenHash(hashesOf(session.id)[capability])).toEqual({ session, capability });
    });
  });

  describe('latestOfMachine', () => {
    it('is the one inserted last, also when the clock stood still or stepped back', async () => {
      await insert({ id: aSessionId('c'), createdAt: NOON + 1 });
      await insert({ id: aSessionId('b'), createdAt: NOON });
      await insert({ id: aSessionId('a'), createdAt: NOON });
      await insert({ id: aSessionId('d'), machineId: aMachineId('other') });
      expect((await sessions.latestOfMachine(aMachineId()))?.id).toBe('a');
    });
  });

  describe('update', () => {
    it('changes what is named and leaves the rest', async () => {
      const session = await insert({ profile: 'workers' });
      await sessions.update(session.id, { scriptServedAt: NOON + 2, image: 'debian-12' });
      expect(await sessions.find(session.id)).toEqual({ ...session, scriptServedAt: NOON + 2, image: 'debian-12' });
      await sessions.update(session.id, { expiresAt: NOON + 9, profile: 'control' });
      expect(await sessions.find(session.id)).toEqual({
        ...session,
        scriptServedAt: NOON + 2,
        image: 'debian-12',
        expiresAt: NOON + 9,
        profile: 'control',
      });
    });

    it('takes an empty change and a session that is gone for what they are: nothing to do', async () => {
      const session = await insert();
      await sessions.update(session.id, {});
      await sessions.update(aSessionId('gone'), { image: 'debian-12' });
      expect(await sessions.find(session.id)).toEqual(session);
      expect(await sessions.find(aSessionId('gone'))).toBeUndefined();
    });
  });

  describe('imagesInUse', () => {
    it('is what open sessions boot, each once; ended ones and those without a plan boot nothing', async () => {
      await insert({ id: aSessionId('ended'), image: 'fleet/os@ended', expiresAt: NOON });
      await insert({ id: aSessionId('open'), image: 'fleet/os@open', expiresAt: NOON + 1 });
      await insert({ id: aSessionId('twin'), image: 'fleet/os@open', expiresAt: NOON + 1 });
      await insert({ id: aSessionId('planless') });
      expect(await sessions.imagesInUse(NOON)).toEqual(new Set(['fleet/os@open']));
      expect(await sessions.imagesInUse(NOON - 1)).toEqual(new Set(['fleet/os@open', 'fleet/os@ended']));
      expect(await sessions.imagesInUse(NOON + 30 * 60_000)).toEqual(new Set());
    });

    it('follows what a session is told to boot, and for how long', async () => {
      const { id } = await insert({ expiresAt: NOON });
      await sessions.update(id, { image: 'fleet/os@planned', expiresAt: NOON + 1 });
      expect(await sessions.imagesInUse(NOON)).toEqual(new Set(['fleet/os@planned']));
    });
  });

  describe('countFetch', () => {
    it('counts up to the limit and no further, for each resource and session by itself', async () => {
      await insert();
      await insert({ id: aSessionId('other') });
      const answers: boolean[] = [];
      for (let fetch = 0; fetch < 4; fetch += 1) answers.push(await sessions.countFetch(aSessionId(), 'vmlinuz', 2));
      expect(answers).toEqual([true, true, false, false]);
      expect(await sessions.countFetch(aSessionId(), 'initrd.img', 2)).toBe(true);
      expect(await sessions.countFetch(aSessionId('other'), 'vmlinuz', 2)).toBe(true);
    });

    it('counted nothing when it said no: a higher limit leaves room for the difference', async () => {
      await insert();
      for (let fetch = 0; fetch < 5; fetch += 1) await sessions.countFetch(aSessionId(), 'vmlinuz', 1);
      expect(await sessions.countFetch(aSessionId(), 'vmlinuz', 2)).toBe(true);
      expect(await sessions.countFetch(aSessionId(), 'vmlinuz', 2)).toBe(false);
    });

    it('lets nothing through a limit of zero', async () => {
      await insert();
      expect(await sessions.countFetch(aSessionId(), 'vmlinuz', 0)).toBe(false);
    });

    it('says no for a session that is gone', async () => {
      expect(await sessions.countFetch(aSessionId('gone'), 'vmlinuz', 5)).toBe(false);
    });

    it('never exceeds the limit under concurrency, over two connections', async () => {
      await insert();
      const second = (await open().second()).sessions;
      const answers = await Promise.all(
        Array.from({ length: 300 }, (_, number) =>
          (number % 2 === 0 ? sessions : second).countFetch(aSessionId(), 'boot-token', 3),
        ),
      );
      expect(answers.filter(Boolean)).toHaveLength(3);
    });
  });

  describe('removeExpired', () => {
    it('removes sessions that ended before that time, with all that hangs on them', async () => {
      await insert({ id: aSessionId('past'), expiresAt: NOON - 1 });
      await insert({ id: aSessionId('now'), expiresAt: NOON });
      await insert({ id: aSessionId('future'), expiresAt: NOON + 1 });
      await sessions.countFetch(aSessionId('past'), 'vmlinuz', 1);
      expect(await sessions.removeExpired(NOON)).toBe(1);
      expect(await sessions.removeExpired(NOON)).toBe(0);
      expect(await sessions.find(aSessionId('past'))).toBeUndefined();
      expect(await sessions.findByTokenHash('past-seed')).toBeUndefined();
      expect(await sessions.find(aSessionId('now'))).toBeDefined();
      await insert({ id: aSessionId('past') });
      expect(await sessions.countFetch(aSessionId('past'), 'vmlinuz', 1)).toBe(true);
    });
  });
});
