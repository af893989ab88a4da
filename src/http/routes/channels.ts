// Channels of images and what their signatures are worth, for administrators. Names of images hold slashes, so they come in the
// query or in the body.
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { ChannelService, MoveOutcome } from '../../images/channels/channel-service.ts';
import { CHANNEL_PATTERN, IMAGE_NAME_PATTERN, parseImageReference } from '../../images/image-reference.ts';
import type { ImageReference } from '../../images/image-reference.ts';
import type { SignatureTrust } from '../../images/trust/signature-trust.ts';
import { actorOf } from '../auth.ts';
import type { HttpApp } from '../http-app.ts';

export interface ChannelRouteParts {
  readonly channels: Pick<ChannelService, 'list' | 'history' | 'promote' | 'rollback' | 'remove' | 'resolve'>;
  readonly signatureTrust: Pick<SignatureTrust, 'report'>;
}

const MAX_LISTED = 1_000;
const image = z.string().max(200).regex(IMAGE_NAME_PATTERN, 'is not the name of an image');
const channel = z.string().regex(CHANNEL_PATTERN, 'is not the name of a channel');
const note = z.string().trim().max(500);
const reference = z
  .string()
  .max(400)
  .transform((text, context): ImageReference => {
    const parsed = parseImageReference(text);
    if (parsed === undefined)
      context.issues.push({ code: 'custom', message: 'is not NAME:TAG, NAME@CHANNEL or NAME@DIGEST', input: text });
    return parsed ?? z.NEVER;
  });

const LIST = z.object({ image: image.optional() });
const HISTORY = z.object({ image, channel, limit: z.coerce.number().int().min(1).max(MAX_LISTED).default(50) });
const PROMOTION = z.strictObject({ image, channel, to: reference, note: note.min(1, 'must say why') });
const ROLLBACK = z.strictObject({ image, channel, note: note.default('') });
const REMOVAL = z.object({ image, channel, note: note.min(1, 'must say why') });
const SIGNATURES = z.object({ reference, channel: channel.optional() });

export function channelRoutes(app: HttpApp, { channels, signatureTrust }: ChannelRouteParts): void {
  app.get('/channels', { schema: { querystring: LIST } }, async ({ query }) => ({
    channels: await channels.list(query.image),
  }));

  app.get('/channels/history', { schema: { querystring: HISTORY } }, async ({ query }) => {
    const moves = await channels.history(query.image, query.channel, query.limit);
    if (moves.length === 0) throw new AppError('not-found', `There is no channel ${query.image}@${query.channel}.`);
    return { moves };
  });

  app.post('/channels/promote', { schema: { body: PROMOTION } }, async (request) => {
    const { image: repository, ...rest } = request.body;
    return answerOf(await channels.promote({ repository, ...rest, by: actorOf(request) }));
  });

  app.post('/channels/rollback', { schema: { body: ROLLBACK } }, async (request) => {
    const { image: repository, ...rest } = request.body;
    return answerOf(await channels.rollback({ repository, ...rest, by: actorOf(request) }));
  });

  // All of it in the query: a body means nothing to DELETE, and what stands between may drop it (RFC 9110 §9.3.5).
  app.delete('/channels', { schema: { querystring: REMOVAL } }, async (request) => {
    const { image: repository, ...rest } = request.query;
    return answerOf(await channels.remove({ repository, ...rest, by: actorOf(request) }));
  });

  app.get('/image-signatures', { schema: { querystring: SIGNATURES } }, async ({ query }) => {
    const digest = await channels.resolve(query.reference);
    if (digest === undefined) throw new AppError('not-found', 'There is no such image.');
    const through = query.channel ?? (query.reference.kind === 'channel' ? query.reference.channel : undefined);
    return {
      image: query.reference.name,
      digest,
      ...(await signatureTrust.report(query.reference.name, digest, through)),
    };
  });
}

function answerOf(outcome: MoveOutcome): object {
  switch (outcome.kind) {
    case 'moved':
      return { changed: true, move: outcome.move, ...(outcome.from === undefined ? {} : { from: outcome.from }) };
    case 'unchanged':
      return { changed: false, move: outcome.move };
    case 'not-found':
      throw new AppError('not-found', `Nothing was changed: ${outcome.reason}.`);
    case 'refused':
      throw new AppError('conflict', `Nothing was changed: ${outcome.reason}.`);
  }
}
