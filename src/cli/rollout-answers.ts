// What the server answers about rollouts, checked as far as the command line reads it.
import { z } from 'zod';

const share = z.union([
  z.looseObject({ kind: z.literal('count'), count: z.number() }),
  z.looseObject({ kind: z.literal('share'), basisPoints: z.number() }),
]);
const rollout = z.looseObject({
  id: z.string(),
  state: z.string(),
  stateReason: z.string(),
  stateSince: z.number(),
  wave: z.number(),
  memberCount: z.number(),
  createdAt: z.number(),
  createdBy: z.string(),
  rollbackOf: z.string().optional(),
  spec: z.looseObject({
    image: z.looseObject({
      repository: z.string(),
      digest: z.string(),
      bootDigest: z.string(),
      version: z.string().optional(),
      sizeBytes: z.number(),
    }),
    selector: z.looseObject({
      labels: z.record(z.string(), z.array(z.string())),
      machines: z.array(z.string()),
    }),
    waves: z.array(share),
    maxUnavailable: share,
    maxFailures: share,
    soakSeconds: z.number(),
    deadlineSeconds: z.number(),
    allowDowngrade: z.boolean(),
    autoRollback: z.boolean(),
    joiners: z.string(),
    window: z
      .looseObject({
        days: z.array(z.number()),
        startMinute: z.number(),
        endMinute: z.number(),
        timeZone: z.string(),
      })
      .optional(),
    note: z.string(),
  }),
});
export type RolloutAnswer = z.output<typeof rollout>;

const member = z.looseObject({
  machineId: z.string(),
  name: z.string(),
  place: z.number(),
  state: z.string(),
  reason: z.string(),
  since: z.number(),
  doneBytes: z.number().optional(),
});
export type MemberAnswer = z.output<typeof member>;

const preview = z.looseObject({
  members: z.array(
    z.looseObject({ name: z.string(), place: z.number(), wave: z.number(), skip: z.string().optional() }),
  ),
  waves: z.array(
    z.looseObject({ size: z.number(), machines: z.array(z.string()), bytes: z.number(), leastMinutes: z.number() }),
  ),
  totalBytes: z.number(),
  leastMinutes: z.number(),
});
export type PreviewAnswer = z.output<typeof preview>;

const freeze = z.looseObject({
  id: z.string(),
  labels: z.record(z.string(), z.string()),
  from: z.number(),
  until: z.number(),
  note: z.string(),
  by: z.string(),
});
export type FreezeAnswer = z.output<typeof freeze>;

const progress = z.looseObject({
  rollout,
  /** How many machines had their turn when each wave is over. */
  waves: z.array(z.number()),
  members: z.array(member),
  waitingFor: z.string(),
});
export type ProgressAnswer = z.output<typeof progress>;

const why = z.looseObject({
  machine: z.looseObject({ id: z.string(), hostname: z.string().optional() }),
  rollouts: z.array(
    z.looseObject({
      rollout: z.looseObject({ id: z.string(), state: z.string(), image: z.string() }),
      member: z.looseObject({ state: z.string(), reason: z.string() }),
      holds: z.array(z.looseObject({ rule: z.string(), detail: z.string() })),
    }),
  ),
});
export type WhyAnswer = z.output<typeof why>;

export const rolloutAnswers = {
  created: z.looseObject({ rollout, preview }),
  list: z.looseObject({ rollouts: z.array(rollout) }),
  one: z.looseObject({ rollout }),
  document: z.looseObject({ document: z.string() }),
  freezes: z.looseObject({ freezes: z.array(freeze) }),
  freeze: z.looseObject({ freeze }),
  progress,
  why,
};
