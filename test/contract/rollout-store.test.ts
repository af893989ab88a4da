import { beforeEach, describe, expect, it } from 'vitest';
import type { RolloutStore } from '../../src/rollouts/rollout-store.ts';
import { aDigest, aMachineId, NOON } from '../support/domain-builders.ts';
import { aMember, aRollout, aRolloutId } from '../support/rollout-builders.ts';
import { STORE_ADAPTERS, storesOf } from './store-adapters.ts';

describe.each(STORE_ADAPTERS)('RolloutStore ($name)', (adapter) => {
  const open = storesOf(adapter);
  let rollouts: RolloutStore;
  beforeEach(() => {
    ({ rollouts } = open().stores);
  });

  it('gives back every property of a rollout and of its members, by place', async () => {
    const rollout = aRollout({
      approval: { by: 'ann', at: NOON, signed: { document: 'a', signature: 'b' } },
      rollbackOf: aRolloutId('r-0'),
    });
    const granted = aMember('m-2', {
      ...{ place: 1, state: 'granted', grantedAt: NOON, doneBytes: 7 },
      from: { digest: aDigest('a'), repository: 'fleet/os' },
    });
    await rollouts.create(rollout, [granted, aMember('m-1')]);
    expect(await rollouts.find(rollout.id)).toEqual(rollout);
    expect(await rollouts.members(rollout.id)).toEqual([aMember('m-1'), granted]);
    expect(await rollouts.find(aRolloutId('r-9'))).toBeUndefined();
    expect(await rollouts.members(aRolloutId('r-9'))).toEqual([]);
  });

  it('takes more members at once than a statement has room for', async () => {
    const members = Array.from({ length: 7000 }, (_, place) => aMember(`m-${place}`, { place }));
    await rollouts.create(aRollout({ memberCount: 7000 }), members);
    expect(await rollouts.members(aRolloutId())).toEqual(members);
  });

  it('lists the newest first, and by state', async () => {
    const [first, second] = [aRollout(), aRollout({ id: aRolloutId('r-2'), createdAt: NOON + 1, state: 'draft' })];
    await rollouts.create(first, []);
    await rollouts.create(second, []);
    expect(await rollouts.list({ limit: 10 })).toEqual([second, first]);
    expect(await rollouts.list({ limit: 1 })).toEqual([second]);
    expect(await rollouts.list({ limit: 10, states: ['running'] })).toEqual([first]);
  });

  it('changes a rollout and its members together, and counts both versions up', async () => {
    await rollouts.create(aRollout(), [aMember('m-1'), aMember('m-2', { place: 1 })]);
    const epoch = await rollouts.epoch();
    const granted = aMember('m-2', { place: 1, state: 'granted', grantedAt: NOON });
    const changed = aRollout({ wave: 1 });
    const outcome = await rollouts.apply({ rollout: changed, members: [granted] }, epoch);
    expect(outcome).toEqual({ kind: 'applied', rollout: { ...changed, version: 2 } });
    expect(await rollouts.find(aRolloutId())).toEqual({ ...changed, version: 2 });
    expect(await rollouts.members(aRolloutId())).toEqual([aMember('m-1'), granted]);
    expect(await rollouts.epoch()).toBe(epoch + 1);
  });

  it('refuses what was decided before another change, of this rollout or of another', async () => {
    await rollouts.create(aRollout(), [aMember('m-1')]);
    await rollouts.create(aRollout({ id: aRolloutId('r-2') }), []);
    const epoch = await rollouts.epoch();
    await rollouts.apply({ rollout: aRollout({ id: aRolloutId('r-2') }), members: [] }, epoch);
    const late = { rollout: aRollout({ wave: 5 }), members: [aMember('m-1', { state: 'granted' })] };
    expect(await rollouts.apply(late, epoch)).toEqual({ kind: 'stale' });
    const stale = { ...late, rollout: aRollout({ version: 7 }) };
    expect(await rollouts.apply(stale, await rollouts.epoch())).toEqual({ kind: 'stale' });
    expect(await rollouts.find(aRolloutId())).toEqual(aRollout());
    expect(await rollouts.members(aRolloutId())).toEqual([aMember('m-1')]);
  });

  it('lets one of two simultaneous decisions win, also through another connection', async () => {
    await rollouts.create(aRollout(), [aMember('m-1')]);
    const second = (await open().second()).rollouts;
    const epoch = await rollouts.epoch();
    const outcomes = await Promise.all([
      rollouts.apply({ rollout: aRollout({ wave: 1 }), members: [] }, epoch),
      second.apply({ rollout: aRollout({ wave: 2 }), members: [] }, epoch),
    ]);
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['applied', 'stale']);
  });

  it('knows what a machine is in, of rollouts that go on alone', async () => {
    const states = ['draft', 'running', 'paused', 'halted', 'aborted', 'finished'] as const;
    for (const state of states)
      await rollouts.create(aRollout({ id: aRolloutId(state), state }), [
        aMember('m-1', { rolloutId: aRolloutId(state) }),
      ]);
    const found = await rollouts.activeMembers(aMachineId('m-1'));
    expect(found.map(({ rolloutId }) => rolloutId)).toEqual(['halted', 'paused', 'running']);
    expect(await rollouts.activeMembers(aMachineId('m-2'))).toEqual([]);
  });

  it('finds who is under way in other rollouts', async () => {
    const states = [
      'waiting',
      'granted',
      'updating',
      'rebooting',
      'soaking',
      'succeeded',
      'failed',
      'skipped',
    ] as const;
    const other = states.map((state, place) => aMember(state, { rolloutId: aRolloutId('r-2'), place, state }));
    await rollouts.create(aRollout(), [aMember('m-1', { state: 'granted' })]);
    await rollouts.create(aRollout({ id: aRolloutId('r-2') }), other);
    const found = await rollouts.underWayElsewhere(aRolloutId());
    expect(found.map(({ machineId }) => machineId).toSorted()).toEqual(['granted', 'rebooting', 'soaking', 'updating']);
  });

  it('pins and unpins machines; a second pin replaces the first', async () => {
    const pin = { machineId: aMachineId('m-1'), note: 'in use', by: 'ann', at: NOON };
    await rollouts.pin(pin);
    await rollouts.pin({ ...pin, note: 'still in use' });
    expect(await rollouts.pins()).toEqual([{ ...pin, note: 'still in use' }]);
    expect([await rollouts.unpin(pin.machineId), await rollouts.unpin(pin.machineId)]).toEqual([true, false]);
    expect(await rollouts.pins()).toEqual([]);
  });

  it('forgets freezes that are over', async () => {
    const freeze = { id: 'f-1', labels: { site: 'berlin' }, from: NOON, until: NOON + 10, note: 'sale', by: 'ann' };
    await rollouts.freeze(freeze);
    expect(await rollouts.freezes(NOON + 9)).toEqual([freeze]);
    expect(await rollouts.freezes(NOON + 10)).toEqual([]);
    expect([await rollouts.thaw('f-1'), await rollouts.thaw('f-1')]).toEqual([true, false]);
  });
});
