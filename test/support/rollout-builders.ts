// Builders of rollouts and their members with valid defaults.
import type { MachineId } from '../../src/machines/machine.ts';
import type { Member, Rollout, RolloutId, RolloutSpec } from '../../src/rollouts/rollout.ts';
import { aDigest, aMachineId, NOON } from './domain-builders.ts';

export function aRolloutId(name = 'r-1'): RolloutId {
  return name as RolloutId;
}

/** One wave of everybody, no window, no limit that is reached by accident. */
export function aSpec(overrides: Partial<RolloutSpec> = {}): RolloutSpec {
  return {
    image: {
      repository: 'fleet/os',
      digest: aDigest('b'),
      bootDigest: aDigest('c'),
      version: '2.0',
      sizeBytes: 100_000_000,
    },
    selector: { labels: {}, machines: [] },
    waves: [{ kind: 'share', basisPoints: 10_000 }],
    maxUnavailable: { kind: 'share', basisPoints: 10_000 },
    maxFailures: { kind: 'count', count: 0 },
    minimumSample: 0,
    soakSeconds: 60,
    deadlineSeconds: 3600,
    budgets: {},
    allowDowngrade: false,
    autoRollback: false,
    joiners: 'ignore',
    note: 'because',
    ...overrides,
  };
}

export function aRollout(overrides: Partial<Rollout> = {}): Rollout {
  return {
    id: aRolloutId(),
    spec: aSpec(),
    state: 'running',
    stateReason: 'approved',
    stateSince: NOON,
    wave: 0,
    memberCount: 1,
    createdAt: NOON,
    createdBy: 'admin',
    version: 1,
    ...overrides,
  };
}

export function aMember(machine = 'machine-1', overrides: Partial<Member> = {}): Member {
  const machineId: MachineId = aMachineId(machine);
  return {
    ...{ rolloutId: aRolloutId(), machineId },
    place: 0,
    state: 'waiting',
    reason: 'its turn has not come',
    since: NOON,
    ...overrides,
  };
}
