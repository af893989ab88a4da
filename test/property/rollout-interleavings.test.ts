// Rollouts under random orders of beats, failures, silences, pauses, clock jumps and restarts of the server: what may never happen.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UNDER_WAY, type Member, type Rollout, type RolloutSpec } from '../../src/rollouts/rollout.ts';
import { countOf, unavailableLimit, type Share } from '../../src/rollouts/share.ts';
import { waveEnds, waveOfPlace } from '../../src/rollouts/waves.ts';
import { aSpec } from '../support/rollout-builders.ts';
import { aRolloutWorld, type Fate } from '../support/rollout-world.ts';

const ENDED: ReadonlySet<Member['state']> = new Set(['succeeded', 'failed', 'skipped']);
const share = fc.oneof(
  fc.integer({ min: 0, max: 12 }).map((count): Share => ({ kind: 'count', count })),
  fc.integer({ min: 0, max: 10_000 }).map((basisPoints): Share => ({ kind: 'share', basisPoints })),
);
const story = fc.record({
  machines: fc.integer({ min: 1, max: 12 }),
  racks: fc.integer({ min: 1, max: 3 }),
  fates: fc.array(fc.constantFrom<Fate>('boots', 'boots', 'boots', 'falls-back', 'refuses', 'goes-silent'), {
    minLength: 12,
    maxLength: 12,
  }),
  first: fc.integer({ min: 1, max: 4 }),
  maxUnavailable: share,
  maxFailures: share,
  minimumSample: fc.integer({ min: 0, max: 6 }),
  perRack: fc.option(fc.integer({ min: 1, max: 2 }), { nil: undefined }),
  steps: fc.array(
    fc.oneof(
      { weight: 8, arbitrary: fc.constant({ kind: 'beat' } as const) },
      { weight: 1, arbitrary: fc.constant({ kind: 'restart' } as const) },
      { weight: 1, arbitrary: fc.constant({ kind: 'pause' } as const) },
      { weight: 1, arbitrary: fc.constant({ kind: 'resume' } as const) },
      {
        weight: 1,
        arbitrary: fc.integer({ min: -300_000, max: 900_000 }).map((by) => ({ kind: 'jump', by }) as const),
      },
    ),
    { minLength: 20, maxLength: 60 },
  ),
});
type Story = typeof story extends fc.Arbitrary<infer T> ? T : never;

describe('a rollout', () => {
  it('never grants past its limits, begins no wave before its gate, loses no halt and ends or says what it waits for', async () => {
    await fc.assert(fc.asyncProperty(story, play), { numRuns: 150 });
  });
});

async function play(told: Story): Promise<void> {
  const world = await aRolloutWorld({
    machines: told.machines,
    labels: (index) => ({ rack: String(index % told.racks) }),
    fate: (id) => told.fates[Number(id.slice(2)) % told.fates.length] ?? 'boots',
  });
  const spec = aSpec({
    waves: [
      { kind: 'count', count: told.first },
      { kind: 'share', basisPoints: 10_000 },
    ],
    maxUnavailable: told.maxUnavailable,
    maxFailures: told.maxFailures,
    minimumSample: told.minimumSample,
    budgets: told.perRack === undefined ? {} : { rack: told.perRack },
    deadlineSeconds: 900,
  });
  const { rollout } = await world.service.create(spec, 'ann');
  await world.service.approve(rollout.id, { by: 'ann' });
  let before = await world.service.show(rollout.id);
  for (const step of [...told.steps, ...Array.from({ length: 80 }, () => ({ kind: 'beat' }) as const)]) {
    let mayLeaveHalt = false;
    switch (step.kind) {
      case 'beat':
        await world.beat();
        break;
      case 'restart':
        world.restart();
        await world.service.loop.changed();
        break;
      case 'jump':
        world.pass(step.by);
        await world.service.loop.tick();
        break;
      case 'pause':
        if (before.rollout.state === 'running') await world.service.pause(rollout.id, 'ann', 'lunch');
        break;
      case 'resume':
        mayLeaveHalt = before.rollout.state === 'halted';
        if (before.rollout.state === 'paused' || mayLeaveHalt) await world.service.resume(rollout.id, 'ann', 'go on');
        break;
    }
    const now = await world.service.show(rollout.id);
    checkLimits(now.rollout, now.members, told);
    checkGate(spec, now.rollout, now.members);
    if (before.rollout.state === 'halted' && !mayLeaveHalt) expect(now.rollout.state).toBe('halted');
    for (const [index, member] of before.members.entries())
      if (ENDED.has(member.state)) expect(now.members[index]?.state).toBe(member.state);
    before = now;
  }
  if (before.rollout.state === 'finished') expect(before.members.every(({ state }) => ENDED.has(state))).toBe(true);
  else expect(before.waitingFor).not.toBe('');
  expect(world.failures).toEqual([]);
}

function checkLimits({ spec, memberCount }: Rollout, members: readonly Member[], told: Story): void {
  const underWay = members.filter(({ state }) => UNDER_WAY.has(state));
  expect(underWay.length).toBeLessThanOrEqual(unavailableLimit(spec.maxUnavailable, memberCount));
  if (told.perRack === undefined) return;
  const racks = new Map<number, number>();
  for (const { machineId } of underWay) {
    const rack = Number(machineId.slice(2)) % told.racks;
    racks.set(rack, (racks.get(rack) ?? 0) + 1);
  }
  for (const count of racks.values()) expect(count).toBeLessThanOrEqual(told.perRack);
}

/** Nobody of a later wave was granted anything before everybody of the waves before it came to an end within the limits. */
function checkGate(spec: RolloutSpec, rollout: Rollout, members: readonly Member[]): void {
  const ends = waveEnds(spec.waves, rollout.memberCount);
  const granted = members.filter(({ grantedAt }) => grantedAt !== undefined);
  const wave = Math.max(-1, ...granted.map(({ place }) => waveOfPlace(ends, place)));
  expect(wave).toBeLessThanOrEqual(rollout.wave);
  for (const member of members) if (waveOfPlace(ends, member.place) < wave) expect(ENDED.has(member.state)).toBe(true);
  const failed = members.filter(({ state }) => state === 'failed').length;
  const accepted = rollout.acceptedFailures ?? 0;
  if (rollout.state === 'running' && accepted === 0)
    expect(failed).toBeLessThanOrEqual(countOf(spec.maxFailures, rollout.memberCount, 'floor'));
}
