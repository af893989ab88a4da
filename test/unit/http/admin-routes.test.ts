import { Readable } from 'node:stream';
import type { InjectOptions } from 'fastify';
import { describe, expect, it } from 'vitest';
import { parseDigest } from '../../../src/images/digest.ts';
import { aDigest, aMac, aMachineId, anEvent, anImage, aSessionId } from '../../support/domain-builders.ts';
import { sha256 } from '../../support/service-world.ts';
import { ADMIN_TOKEN, anHttpWorld, AS_ADMIN } from './http-world.ts';

const BLOB = Buffer.from('the bytes of a kernel');
const DIGEST = parseDigest(`sha256:${sha256(BLOB)}`)!;
const OCTETS = { 'content-type': 'application/octet-stream' };

function aWorld() {
  const world = anHttpWorld();
  const call = (method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE', url: string, rest: InjectOptions = {}) =>
    world.api.inject({ method, url: `/api/v1${url}`, ...rest, headers: { ...AS_ADMIN, ...rest.headers } });
  return { ...world, call };
}

describe('every route of the API listener', () => {
  it('refuses whoever shows nothing, but for the few that are open by design', async () => {
    const { api } = anHttpWorld();
    await api.ready();
    // fastify draws /boot/:token/* as /*.
    const open = /^(?:\/$|\/login|\/healthz|\/ca\.pem|\/\*|\/static\/|\/api\/v1\/enroll)/;
    const routes = routesOf(api.printRoutes({ commonPrefix: false }));
    expect(routes.length).toBeGreaterThan(30);
    for (const { method, url } of routes.filter((route) => !open.test(route.url))) {
      const answer = await api.inject({ method, url: url.replaceAll(/:\w+|\*/g, '/x') });
      const refused = answer.statusCode === 401 || (answer.statusCode === 303 && answer.headers.location === '/');
      expect({ method, url, status: answer.statusCode, refused }).toMatchObject({ refused: true });
    }
  });

  it('carries the headers that keep browsers from doing more than it means', async () => {
    const { headers } = await anHttpWorld().api.inject('/api/v1/machines');
    expect(headers['content-security-policy']).toBe(
      "default-src 'none';script-src 'self';style-src 'self';img-src 'self';connect-src 'self';form-action 'self';base-uri 'none';frame-ancestors 'none'",
    );
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'same-origin' });
    expect(headers).not.toHaveProperty('strict-transport-security');
  });
});

describe('the admin API', () => {
  it.each(['Bearer wrong', 'Basic abc', ''])('refuses the credential "%s" in JSON', async (authorization) => {
    const { call } = aWorld();
    const answer = await call('GET', '/machines', { headers: { authorization } });
    expect(answer.statusCode).toBe(401);
    expect(answer.json()).toEqual({ error: { code: 'unauthorised', message: 'The admin token is wrong.' } });
  });

  it('answers JSON for what is not there, for a wrong query and for a body that is not JSON', async () => {
    const { call } = aWorld();
    expect((await call('GET', '/nothing')).json()).toMatchObject({ error: { code: 'not-found' } });
    const query = await call('GET', '/machines?state=sleepy');
    expect(query.statusCode).toBe(400);
    expect(query.json()).toMatchObject({ error: { code: 'invalid-request', message: /^querystring.state: / } });
    const body = await call('POST', '/tokens', { payload: '{', headers: { 'content-type': 'application/json' } });
    expect(body.json()).toMatchObject({ error: { code: 'invalid-request' } });
  });

  it('shows nothing of a defect but that there is one', async () => {
    const { api, logLines } = anHttpWorld({
      loaders: { list: () => Promise.reject(new Error('the secret inside')) },
    });
    const answer = await api.inject({ url: '/api/v1/loaders', headers: AS_ADMIN });
    expect([answer.statusCode, answer.json<{ error: { code: string } }>().error.code]).toEqual([500, 'internal']);
    expect(answer.body).not.toContain('secret');
    expect(logLines.join('')).toContain('the secret inside');
  });

  it('takes a browser session for reading, and for changes only from its own pages', async () => {
    const { api, sessions, machines } = anHttpWorld();
    await machines.observe({ mac: aMac(), architecture: 'x64-uefi' });
    const cookie = `__Host-muster=${sessions.open()}`;
    const approve = (headers: Record<string, string>) =>
      api.inject({ method: 'POST', url: `/api/v1/machines/${aMac()}/approve`, headers: { cookie, ...headers } });
    expect((await api.inject({ url: '/api/v1/status', headers: { cookie } })).statusCode).toBe(200);
    expect((await approve({})).statusCode).toBe(403);
    expect((await approve({ 'sec-fetch-site': 'cross-site' })).statusCode).toBe(403);
    expect((await approve({ 'sec-fetch-site': 'same-site' })).statusCode).toBe(403);
    expect((await approve({ origin: 'http://evil.example' })).statusCode).toBe(403);
    expect((await approve({ 'sec-fetch-site': 'same-origin' })).statusCode).toBe(200);
  });

  it('tells version, addresses, uptime and machines by state', async () => {
    const { call, clock, machines } = aWorld();
    await machines.observe({ mac: aMac(), architecture: 'x64-uefi' });
    clock.time += 90_500;
    expect((await call('GET', '/status')).json()).toMatchObject({
      version: '1.2.3',
      uptimeSeconds: 90,
      addresses: { http: 'http://192.0.2.1:8080' },
      machines: { discovered: 1, active: 0 },
    });
  });

  it('names each loader with its digest as hex', async () => {
    const { call } = aWorld();
    expect((await call('GET', '/loaders')).json()).toMatchObject({
      loaders: [{ name: 'ipxe.efi', sha256: 'e'.repeat(64), tested: true }],
    });
  });
});

describe('/api/v1/machines', () => {
  it('lists, shows with its latest boot, explains, approves and retires by any reference', async () => {
    const { call, machines, events } = aWorld();
    const machine = await machines.observe({ mac: aMac(), architecture: 'x64-uefi' });
    events.record(anEvent({ machineId: machine!.id, sessionId: aSessionId('s1') }));
    events.record(anEvent({ machineId: machine!.id, sessionId: aSessionId('s2') }));
    await events.flush();
    expect((await call('GET', '/machines?state=discovered&limit=5')).json()).toMatchObject({
      machines: [{ macs: [aMac()], state: 'discovered' }],
    });
    const shown = (await call('GET', '/machines/52-54-00-00-00-01')).json<{ events: { sessionId: string }[] }>();
    expect(shown.events.map(({ sessionId }) => sessionId)).toEqual(['s2']);
    expect((await call('GET', `/machines/${aMac()}/explain`)).json()).toMatchObject({ winner: 'lab' });
    expect((await call('POST', `/machines/${aMac()}/approve`)).json()).toMatchObject({
      machine: { state: 'approved' },
    });
    expect((await call('POST', `/machines/${aMac()}/retire`)).json()).toMatchObject({ machine: { state: 'retired' } });
  });

  it('explains an address that was never seen, and knows no other stranger', async () => {
    const { call } = aWorld();
    const explained = await call('GET', `/machines/${aMac(77)}/explain`);
    expect(explained.statusCode).toBe(200);
    expect(explained.json()).not.toHaveProperty('machine');
    expect((await call('GET', '/machines/stranger/explain')).statusCode).toBe(404);
    expect((await call('POST', '/machines/stranger/approve')).statusCode).toBe(404);
  });
});

describe('/api/v1/tokens', () => {
  it('makes a token with every bond, and shows the text once', async () => {
    const { call, enrollment } = aWorld();
    const payload = { ttlSeconds: 600, uses: 2, mac: '5254.0000.0001', labels: { rack: 'a1' }, note: 'for rack a1' };
    const answer = await call('POST', '/tokens', { payload });
    expect(answer.statusCode).toBe(201);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.json()).toMatchObject({ token: 'signed.token.text', record: { id: 'token-1' } });
    expect(enrollment.tokenRequests).toEqual([{ ...payload, mac: aMac(), by: 'admin' }]);
    expect((await call('GET', '/tokens?all=1')).json()).toMatchObject({ tokens: [{ id: 'token-1' }] });
  });

  it.each([{ mac: 'no' }, { ttl: 5 }, { ttlSeconds: 1.5 }, { labels: { 'a b': 'x' } }, { uuid: 'x' }, []])(
    'refuses %j as invalid',
    async (payload) => {
      const { call } = aWorld();
      expect((await call('POST', '/tokens', { payload })).json()).toMatchObject({ error: { code: 'invalid-request' } });
    },
  );

  it('revokes a token that there is, and says so of one that there is not', async () => {
    const { call } = aWorld();
    await call('POST', '/tokens', { payload: { ttlSeconds: 600 } });
    expect((await call('POST', '/tokens/token-1/revoke')).json()).toMatchObject({ record: { id: 'token-1' } });
    expect((await call('POST', '/tokens/other/revoke')).statusCode).toBe(404);
  });
});

describe('/api/v1/blobs and /api/v1/images', () => {
  it('stores a blob once under its digest, and shows its size', async () => {
    const { call } = aWorld();
    const put = () => call('PUT', `/blobs/${DIGEST}`, { payload: Readable.from([BLOB]), headers: OCTETS });
    expect((await call('HEAD', `/blobs/${DIGEST}`)).statusCode).toBe(404);
    expect((await put()).statusCode).toBe(201);
    const again = await put();
    expect([again.statusCode, again.json()]).toEqual([200, { digest: DIGEST, sizeBytes: BLOB.length }]);
    const head = await call('HEAD', `/blobs/${DIGEST}`);
    expect([head.statusCode, head.headers['content-length']]).toEqual([200, String(BLOB.length)]);
  });

  it.each([
    ['bytes with another digest', { payload: 'other', headers: OCTETS }, 400, 'digest-mismatch'],
    ['more bytes than the limit', { payload: Buffer.alloc(1_000_001), headers: OCTETS }, 413, 'payload-too-large'],
    [
      'a body of another type',
      { payload: '{}', headers: { 'content-type': 'application/json' } },
      400,
      'invalid-request',
    ],
    ['a body of no known type', { payload: 'x', headers: { 'content-type': 'text/css' } }, 400, 'invalid-request'],
  ] as const)('refuses %s', async (_name, rest, status, code) => {
    const { call } = aWorld();
    const answer = await call('PUT', `/blobs/${DIGEST}`, rest);
    expect([answer.statusCode, answer.json<{ error: { code: string } }>().error.code]).toEqual([status, code]);
  });

  it('refuses more bytes than the limit also where the length is not told before', async () => {
    const { call } = aWorld();
    const payload = Readable.from([Buffer.alloc(600_000), Buffer.alloc(600_000)]);
    const answer = await call('PUT', `/blobs/${DIGEST}`, { payload, headers: OCTETS });
    expect(answer.statusCode).toBe(413);
  });

  it.each(['fleet/os', 'fleet%2Fos', 'fleet/os:latest', `fleet/os@${aDigest('d')}`])(
    'lists and shows an image named %s',
    async (name) => {
      const { call, images } = aWorld();
      images.put(anImage({ name: 'fleet/os' }));
      expect((await call('GET', '/images')).json()).toMatchObject({ images: [{ name: 'fleet/os', tags: ['latest'] }] });
      expect((await call('GET', `/images/${name}`)).json()).toMatchObject({
        image: { name: 'fleet/os', state: 'ready' },
      });
      expect((await call('GET', '/images/other')).statusCode).toBe(404);
    },
  );

  it('removes by tag or digest what the registry has, and never a channel', async () => {
    const { call } = aWorld();
    expect((await call('DELETE', '/images/fleet/os')).statusCode).toBe(404);
    expect((await call('DELETE', '/images/fleet/os@stable')).statusCode).toBe(400);
    expect((await call('DELETE', '/images/..%2Fa')).statusCode).toBe(400);
  });
});

describe('GET /api/v1/events', () => {
  it('selects by machine, kind and number', async () => {
    const { call, machines, events } = aWorld();
    const machine = await machines.observe({ mac: aMac(), architecture: 'x64-uefi' });
    events.record(anEvent({ machineId: machine!.id }));
    events.record(anEvent({ machineId: aMachineId('other') }));
    await events.flush();
    const kinds = async (query: string) =>
      (await call('GET', `/events?${query}`)).json<{ events: { seq: number; kind: string }[] }>().events;
    expect(await kinds('')).toHaveLength(3);
    expect(await kinds(`machine=${aMac()}`)).toHaveLength(2);
    expect(await kinds('kind=machine-discovered')).toHaveLength(1);
    expect(await kinds('kind=unheard-of')).toEqual([]);
    expect(await kinds('after=2&limit=1')).toMatchObject([{ seq: 3 }]);
    expect(await kinds(`machine=${aMac(9)}`)).toEqual([]);
    expect((await call('GET', '/events?machine=stranger')).statusCode).toBe(404);
  });
});

it('the admin token of the tests is not in the log', async () => {
  const { call, logLines } = aWorld();
  await call('GET', '/machines', { query: { token: ADMIN_TOKEN } });
  expect(logLines.join('')).not.toContain(ADMIN_TOKEN);
});

/** Reads fastify's drawing of its route table. */
function routesOf(drawing: string): { method: 'GET' | 'POST'; url: string }[] {
  const routes: { method: 'GET' | 'POST'; url: string }[] = [];
  const prefixes: string[] = [];
  for (const line of drawing.split('\n')) {
    const match = /^([│ ]*)[├└]── (\S*)(?: \(([A-Z, ]+)\))?/.exec(line);
    if (match === null) continue;
    const depth = (match[1] ?? '').length / 4;
    prefixes.length = depth;
    prefixes.push(match[2] ?? '');
    for (const method of (match[3] ?? '').split(', ').filter(Boolean)) {
      routes.push({ method: method as 'GET', url: prefixes.join('') });
    }
  }
  return routes;
}
