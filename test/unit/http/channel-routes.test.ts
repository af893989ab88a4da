import fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { beforeEach, describe, expect, it } from 'vitest';
import { handleError } from '../../../src/http/error-handler.ts';
import type { HttpApp } from '../../../src/http/http-app.ts';
import { channelRoutes } from '../../../src/http/routes/channels.ts';
import { promotionAfter, type ChannelMove } from '../../../src/images/channels/channel.ts';
import type { MoveOutcome, Promotion } from '../../../src/images/channels/channel-service.ts';
import { aDigest, NOON } from '../../support/domain-builders.ts';

const MOVE: ChannelMove = promotionAfter(
  undefined,
  { repository: 'fleet/os', channel: 'stable', digest: aDigest('a'), reference: 'fleet/os:1' },
  { by: 'admin', note: 'because', at: NOON },
);
const AS_ADMIN = { authorization: 'Bearer checked-before' };

let app: HttpApp;
let outcome: MoveOutcome;
let asked: unknown[];

beforeEach(() => {
  outcome = { kind: 'moved', move: MOVE, from: aDigest('b') };
  asked = [];
  const move = (request: unknown) => {
    asked.push(request);
    return Promise.resolve(outcome);
  };
  app = fastify();
  app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler).setErrorHandler(handleError);
  void app.register(
    (scope: HttpApp, _options: unknown, done: () => void) => {
      channelRoutes(scope, {
        channels: {
          list: (repository) => Promise.resolve(repository === 'other' ? [] : [MOVE]),
          history: (repository) => Promise.resolve(repository === 'fleet/os' ? [MOVE] : []),
          promote: (promotion: Promotion) => move(promotion),
          rollback: move,
          remove: move,
          resolve: (reference) => Promise.resolve(reference.name === 'fleet/os' ? aDigest('a') : undefined),
        },
        signatureTrust: {
          report: (...words) => {
            asked.push(words);
            return Promise.resolve({ signatures: [], decision: { kind: 'refused', reason: 'it has no signature' } });
          },
        },
      });
      done();
    },
    { prefix: '/api/v1' },
  );
});

describe('channel routes', () => {
  it('lists the channels of all images or of one', async () => {
    expect(await get('/channels')).toEqual({ status: 200, json: { channels: [MOVE] } });
    expect(await get('/channels?image=other')).toEqual({ status: 200, json: { channels: [] } });
  });

  it('promotes in the name of the caller, and says where the channel pointed before', async () => {
    const answer = await post('/channels/promote', {
      image: 'fleet/os',
      channel: 'stable',
      to: 'fleet/os:1',
      note: ' why ',
    });
    expect(answer).toEqual({ status: 200, json: { changed: true, move: MOVE, from: aDigest('b') } });
    const to = { name: 'fleet/os', kind: 'tag', tag: '1' };
    expect(asked).toEqual([{ repository: 'fleet/os', channel: 'stable', to, note: 'why', by: 'admin' }]);
  });

  it('answers 409 with the reason for what is not trusted, 404 for what is not there', async () => {
    outcome = { kind: 'refused', reason: 'fleet/os@sha256:aa is not trusted: it has no signature' };
    const body = { image: 'fleet/os', channel: 'stable', to: 'fleet/os:1', note: 'why' };
    expect(await post('/channels/promote', body)).toMatchObject({
      status: 409,
      json: { error: { code: 'conflict', message: expect.stringContaining('it has no signature') } },
    });
    outcome = { kind: 'not-found', reason: 'there is no channel fleet/os@stable' };
    expect((await post('/channels/rollback', { image: 'fleet/os', channel: 'stable' })).status).toBe(404);
    expect((await get('/channels/history?image=other&channel=stable')).status).toBe(404);
  });

  it('removes in the name of the caller what the query names, for a reason, and answers 404 where there is none', async () => {
    expect(await remove('?image=fleet%2Fos&channel=stable&note=the%20rack%20is%20gone')).toMatchObject({
      status: 200,
      json: { changed: true, move: MOVE },
    });
    expect(asked).toEqual([{ repository: 'fleet/os', channel: 'stable', note: 'the rack is gone', by: 'admin' }]);
    outcome = { kind: 'not-found', reason: 'there is no channel fleet/os@stable' };
    expect((await remove('?image=fleet/os&channel=stable&note=why')).status).toBe(404);
    expect(await remove('?image=fleet/os&channel=stable')).toMatchObject({ status: 400 });
    expect(await remove('?image=fleet/os&channel=stable&note=%20')).toMatchObject({
      status: 400,
      json: { error: { message: 'querystring.note: must say why' } },
    });
  });

  it.each([
    [{ image: 'Fleet', channel: 'stable', to: 'fleet/os:1', note: 'why' }, 'body.image: is not the name of an image'],
    [
      { image: 'fleet/os', channel: 'Stable', to: 'fleet/os:1', note: 'why' },
      'body.channel: is not the name of a channel',
    ],
    [
      { image: 'fleet/os', channel: 'stable', to: 'fleet os', note: 'why' },
      'body.to: is not NAME:TAG, NAME@CHANNEL or NAME@DIGEST',
    ],
    [{ image: 'fleet/os', channel: 'stable', to: 'fleet/os:1', note: ' ' }, 'body.note: must say why'],
  ])('refuses %j', async (body, message) => {
    expect(await post('/channels/promote', body)).toMatchObject({ status: 400, json: { error: { message } } });
  });

  it('reports signatures by the rules of the channel that the reference names, or of the one that is asked for', async () => {
    const { json } = await get('/image-signatures?reference=fleet/os@stable');
    expect(json).toMatchObject({ image: 'fleet/os', digest: aDigest('a'), decision: { kind: 'refused' } });
    await get('/image-signatures?reference=fleet/os:1&channel=beta');
    await get('/image-signatures?reference=fleet/os:1');
    expect(asked).toEqual([
      ['fleet/os', aDigest('a'), 'stable'],
      ['fleet/os', aDigest('a'), 'beta'],
      ['fleet/os', aDigest('a'), undefined],
    ]);
    expect((await get('/image-signatures?reference=other')).status).toBe(404);
  });
});

async function get(path: string) {
  const answer = await app.inject({ method: 'GET', url: `/api/v1${path}`, headers: AS_ADMIN });
  return { status: answer.statusCode, json: answer.json<unknown>() };
}

async function remove(query: string) {
  const answer = await app.inject({ method: 'DELETE', url: `/api/v1/channels${query}`, headers: AS_ADMIN });
  return { status: answer.statusCode, json: answer.json<unknown>() };
}

async function post(path: string, payload: object) {
  const answer = await app.inject({ method: 'POST', url: `/api/v1${path}`, headers: AS_ADMIN, payload });
  return { status: answer.statusCode, json: answer.json<unknown>() };
}
