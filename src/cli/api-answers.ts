// What the server answers, checked as far as the command line reads it: a newer server may say more.
import { z } from 'zod';
import type { BootEvent } from '../events/boot-event.ts';
import { MACHINE_STATES } from '../machines/machine.ts';

const labels = z.record(z.string(), z.string());

const factsSchema = z.looseObject({
  vendor: z.string().optional(),
  product: z.string().optional(),
  serial: z.string().optional(),
  uuid: z.string().optional(),
  firmware: z.string().optional(),
  cpu: z.string().optional(),
  cpuCount: z.number().optional(),
  memoryBytes: z.number().optional(),
  disks: z.array(z.looseObject({ name: z.string(), sizeBytes: z.number(), model: z.string().optional() })).optional(),
});

const machineSchema = z.looseObject({
  id: z.string(),
  macs: z.array(z.string()),
  hostname: z.string().optional(),
  architecture: z.string().optional(),
  state: z.enum(MACHINE_STATES),
  stateReason: z.string(),
  stateSince: z.number(),
  labels,
  facts: factsSchema,
  profile: z.string().optional(),
  image: z.string().optional(),
  address: z.string().optional(),
  certificateSerial: z.string().optional(),
  configDigest: z.string().optional(),
  createdAt: z.number(),
  lastSeenAt: z.number(),
});
export type MachineAnswer = z.output<typeof machineSchema>;

/** The details belong to the kind; describeEvent alone reads them, and formatEvent is ready for a kind it does not know. */
export const bootEventSchema = z.custom<BootEvent>(
  (value) =>
    z
      .looseObject({ seq: z.number(), at: z.number(), kind: z.string(), details: z.looseObject({}) })
      .extend({ mac: z.string().optional(), machineId: z.string().optional() })
      .safeParse(value).success,
);

const tokenSchema = z.looseObject({
  id: z.string(),
  createdAt: z.number(),
  createdBy: z.string(),
  expiresAt: z.number(),
  maxUses: z.number(),
  uses: z.number(),
  revokedAt: z.number().optional(),
  note: z.string().optional(),
  mac: z.string().optional(),
  uuid: z.string().optional(),
  serial: z.string().optional(),
  profile: z.string().optional(),
  labels,
});
export type TokenAnswer = z.output<typeof tokenSchema>;

const part = z.looseObject({ digest: z.string(), sizeBytes: z.number() });
const imageSchema = z.looseObject({
  reference: z.string(),
  name: z.string(),
  digest: z.string(),
  tags: z.array(z.string()),
  channels: z.array(z.string()),
  state: z.enum(['queued', 'converting', 'ready', 'refused', 'not-converted']),
  percent: z.number().optional(),
  refusal: z.looseObject({ code: z.string(), detail: z.string() }).optional(),
  image: z
    .looseObject({
      family: z.string(),
      kernel: part,
      initrd: part,
      squashfs: part,
      commandLine: z.array(z.string()),
      os: z.looseObject({ id: z.string(), versionId: z.string().optional(), prettyName: z.string().optional() }),
      kairos: z.looseObject({ version: z.string(), flavor: z.string().optional() }).optional(),
      architecture: z.string(),
    })
    .optional(),
  createdAt: z.number(),
});
export type ImageAnswer = z.output<typeof imageSchema>;

const loaderSchema = z.looseObject({
  name: z.string(),
  architecture: z.string(),
  sizeBytes: z.number(),
  package: z.string(),
  version: z.string(),
  licence: z.string(),
  tested: z.boolean(),
});
export type LoaderAnswer = z.output<typeof loaderSchema>;

export const answers = {
  machine: z.looseObject({ machine: machineSchema }),
  machines: z.looseObject({ machines: z.array(machineSchema) }),
  machineWithEvents: z.looseObject({ machine: machineSchema, events: z.array(bootEventSchema) }),
  explanation: z.looseObject({
    machine: machineSchema.optional(),
    winner: z.string().optional(),
    candidates: z.array(z.looseObject({ profile: z.string(), matches: z.boolean(), reasons: z.array(z.string()) })),
    plan: z.looseObject({ kind: z.string(), reason: z.string() }),
  }),
  tokens: z.looseObject({ tokens: z.array(tokenSchema) }),
  newToken: z.looseObject({ token: z.string(), record: tokenSchema }),
  revokedToken: z.looseObject({ record: tokenSchema }),
  events: z.looseObject({ events: z.array(bootEventSchema) }),
  images: z.looseObject({ images: z.array(imageSchema) }),
  image: z.looseObject({ image: imageSchema }),
  collection: z.looseObject({ digests: z.array(z.string()), sizeBytes: z.number() }),
  loaders: z.looseObject({ loaders: z.array(loaderSchema) }),
  status: z.looseObject({
    version: z.string(),
    uptimeSeconds: z.number(),
    addresses: z.record(z.string(), z.unknown()),
    machines: z.record(z.string(), z.number()),
  }),
};
export type ExplanationAnswer = z.output<typeof answers.explanation>;
export type StatusAnswer = z.output<typeof answers.status>;
