// What the server answers about channels and signatures, checked as far as the command line reads it.
import { z } from 'zod';

const moveSchema = z.looseObject({
  repository: z.string(),
  channel: z.string(),
  number: z.number(),
  kind: z.enum(['promoted', 'rolled-back', 'removed']),
  digest: z.string(),
  before: z.looseObject({ digest: z.string() }).optional(),
  reference: z.string(),
  by: z.string(),
  note: z.string(),
  at: z.number(),
});
export type MoveAnswer = z.output<typeof moveSchema>;

const decision = z.union([
  z.object({ kind: z.literal('trusted') }),
  z.object({ kind: z.literal('refused'), reason: z.string() }),
]);
const verdict = z.union([
  z.object({ kind: z.literal('valid'), key: z.string() }),
  z.object({ kind: z.literal('invalid'), reason: z.string() }),
]);

export const channelAnswers = {
  channels: z.looseObject({ channels: z.array(moveSchema) }),
  history: z.looseObject({ moves: z.array(moveSchema) }),
  moved: z.looseObject({ changed: z.boolean(), move: moveSchema, from: z.string().optional() }),
  signatures: z.object({
    image: z.string(),
    digest: z.string(),
    signatures: z.array(z.object({ place: z.string(), verdict })),
    decision,
  }),
};
export type SignaturesAnswer = z.output<typeof channelAnswers.signatures>;
