import { describe, expect, it } from 'vitest';
import type { Rollout, RolloutSpec } from '../../../src/rollouts/rollout.ts';
import { aDigest } from '../../support/domain-builders.ts';
import { aSpec } from '../../support/rollout-builders.ts';
import { aRolloutWorld, OLD, type RolloutWorldOptions } from '../../support/rollout-world.ts';

const NEW = aDigest('b');
const WAVES: RolloutSpec['waves'] = [
  { kind: 'count', count: 1 },
  { kind: 'share', basisPoints: 5_000 },
  { kind: 'share', basisPoints: 10_000 },
];

describe('a rollout', () => {
  it('brings every machine to the image, wave by wave, and ends', async () => {
    const { world, rollout } = await begun({ machines: 10 }, { waves: WAVES });
    await world.beat(60);
    expect(await shown(world, rollout)).toEqual({ state: 'finished', succeeded: 10 });
    expect(new Set(world.fleet.map(({ image }) => image))).toEqual(new Set([NEW]));
    const waves = (await world.recorded()).filter(({ kind }) => kind === 'rollout-wave');
    expect(waves.map(({ details }) => details)).toMatchObject([{ machines: 1 }, { machines: 4 }, { machines: 5 }]);
    expect(world.failures).toEqual([]);
  });

  it('reaches machines that run from RAM by their next boot', async () => {
    const { world, rollout } = await begun({ machines: 3, source: 'network' });
    await world.beat(1);
    const machine = await world.stores.machines.find(world.fleet[0]!.id);
    expect(world.service.loop.assignedImage(machine!)).toBe(`fleet/os@${NEW}`);
    await world.beat(30);
    expect(await shown(world, rollout)).toEqual({ state: 'finished', succeeded: 3 });
  });

  it('keeps machines that wait on what they run, whatever their profile says meanwhile', async () => {
    const { world } = await begun({ machines: 3, source: 'network' }, { waves: WAVES });
    await world.beat(2);
    const last = await world.stores.machines.find(world.fleet[2]!.id);
    expect(world.service.loop.assignedImage(last!)).toBe(`fleet/os@${OLD}`);
  });

  it('halts when the canary falls back, and touches nobody else', async () => {
    const { world, rollout } = await begun({ machines: 3, fate: () => 'falls-back' }, { waves: WAVES });
    await world.beat(60);
    expect(await shown(world, rollout)).toEqual({ state: 'halted', failed: 1, waiting: 2 });
    expect(world.fleet.map(({ boots }) => boots)).toEqual([2, 1, 1]);
    const [member] = (await world.service.show(rollout.id)).members;
    expect(member?.reason).toContain('its health probe failed');
  });

  it('counts a machine that is never heard again as failed at its deadline', async () => {
    const { world, rollout } = await begun({ machines: 2, fate: () => 'goes-silent' }, { waves: WAVES });
    await world.beat(140);
    expect(await shown(world, rollout)).toEqual({ state: 'halted', failed: 1, waiting: 1 });
  });

  it('goes on after a kill where it was', async () => {
    const { world, rollout } = await begun({ machines: 6 }, { waves: WAVES });
    for (let round = 0; round < 40; round += 1) {
      world.restart();
      await world.service.loop.changed();
      await world.beat(2);
    }
    expect(await shown(world, rollout)).toEqual({ state: 'finished', succeeded: 6 });
    expect(world.fleet.map(({ boots }) => boots)).toEqual([2, 2, 2, 2, 2, 2]);
  });

  it('goes on after a halt when a person accepts the failures', async () => {
    const { world, rollout } = await begun(
      { machines: 3, fate: (id) => (id.endsWith('0') ? 'falls-back' : 'boots') },
      { waves: WAVES },
    );
    await world.beat(30);
    expect(await shown(world, rollout)).toMatchObject({ state: 'halted' });
    await world.service.resume(rollout.id, 'ann', 'that one has a bad disk');
    await world.beat(60);
    expect(await shown(world, rollout)).toEqual({ state: 'finished', failed: 1, succeeded: 2 });
  });
});

describe('taking back', () => {
  it('makes a draft that leads the machines to what they ran', async () => {
    const { world, rollout } = await begun({ machines: 4 });
    await world.beat(30);
    const [draft] = await world.service.rollback(rollout.id, 'ann');
    expect(draft).toMatchObject({
      state: 'draft',
      rollbackOf: rollout.id,
      spec: { allowDowngrade: true, image: { digest: OLD } },
    });
    await world.service.approve(draft!.id, { by: 'ann' });
    await world.beat(40);
    expect(await shown(world, draft!)).toEqual({ state: 'finished', succeeded: 4 });
    expect(new Set(world.fleet.map(({ image }) => image))).toEqual(new Set([OLD]));
  });

  it('happens by itself after a halt where that was asked for', async () => {
    const { world, rollout } = await begun(
      { machines: 4, fate: (id, image) => (image === NEW && id.endsWith('3') ? 'falls-back' : 'boots') },
      { autoRollback: true },
    );
    await world.beat(120);
    expect(await shown(world, rollout)).toMatchObject({ state: 'aborted', failed: 1 });
    expect(new Set(world.fleet.map(({ image }) => image))).toEqual(new Set([OLD]));
  });

  it('is refused for a draft', async () => {
    const world = await aRolloutWorld({ machines: 1 });
    const { rollout } = await world.service.create(aSpec(), 'ann');
    await expect(world.service.rollback(rollout.id, 'ann')).rejects.toThrow('is a draft');
  });
});

describe('what people may do', () => {
  it('is not to begin anything without the signature of an operator, where operators have keys', async () => {
    const key = {
      name: 'ops',
      verifies: (_: Uint8Array, signature: Uint8Array) => Buffer.from(signature).toString() === 'good',
    };
    const world = await aRolloutWorld({ machines: 1, operatorKeys: [key] });
    const { rollout } = await world.service.create(aSpec(), 'ann');
    await expect(world.service.approve(rollout.id, { by: 'ann' })).rejects.toThrow('has to be signed');
    const forged = Buffer.from('bad').toString('base64');
    await expect(world.service.approve(rollout.id, { by: 'ann', signature: forged })).rejects.toThrow('ops');
    const signature = Buffer.from('good').toString('base64');
    const approved = await world.service.approve(rollout.id, { by: 'ann', signature });
    expect(approved.approval?.signed?.document).toContain(`rollout=${rollout.id}\nrepository=fleet/os\nimage=${NEW}\n`);
  });

  it('is not to roll out to installed machines unsigned, unless the settings allow it', async () => {
    const world = await aRolloutWorld({ machines: 1, allowUnsigned: false });
    const { rollout } = await world.service.create(aSpec(), 'ann');
    await expect(world.service.approve(rollout.id, { by: 'ann' })).rejects.toThrow('upgrades.operatorKeys is empty');
  });

  it('is to abort: who has not left for the image stays where it is', async () => {
    const { world, rollout } = await begun({ machines: 4 }, { waves: WAVES });
    await world.beat(1);
    await world.service.abort(rollout.id, 'ann', 'wrong image');
    await world.beat(20);
    expect(await shown(world, rollout)).toEqual({ state: 'aborted', skipped: 4 });
    await expect(world.service.resume(rollout.id, 'ann', '')).rejects.toThrow('is aborted');
  });

  it('is to pin a machine, and to ask what holds it', async () => {
    const { world } = await begun({ machines: 2 });
    const { id } = world.fleet[0]!;
    const pinned = await aRolloutWorld({ machines: 2 });
    await pinned.service.pin(id, 'ann', 'in use');
    const { rollout } = await pinned.service.create(aSpec(), 'ann');
    await pinned.service.approve(rollout.id, { by: 'ann' });
    await pinned.beat(30);
    expect(await shown(pinned, rollout)).toMatchObject({ state: 'running', succeeded: 1, waiting: 1 });
    const [why] = await pinned.service.why(id);
    expect(why?.holds).toMatchObject([{ rule: 'pin' }]);
    await pinned.service.unpin(id, 'ann');
    await pinned.beat(30);
    expect(await shown(pinned, rollout)).toEqual({ state: 'finished', succeeded: 2 });
    expect(await world.service.why(id)).toHaveLength(1);
  });
});

async function begun(options: RolloutWorldOptions, spec: Partial<RolloutSpec> = {}) {
  const world = await aRolloutWorld(options);
  const { rollout } = await world.service.create(aSpec(spec), 'ann');
  return { world, rollout: await world.service.approve(rollout.id, { by: 'ann' }) };
}

/** The state, and how many members are in each of theirs. */
async function shown(
  world: Awaited<ReturnType<typeof aRolloutWorld>>,
  { id }: Rollout,
): Promise<Record<string, unknown>> {
  const { rollout, members } = await world.service.show(id);
  const counts: Record<string, number> = {};
  for (const { state } of members) counts[state] = (counts[state] ?? 0) + 1;
  return { state: rollout.state, ...counts };
}
