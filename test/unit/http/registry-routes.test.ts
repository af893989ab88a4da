import { describe, expect, it } from 'vitest';
import { aContent, aManifest, OCI_CONFIG } from '../../support/oci-layout.ts';
import { codesOf, RegistryHttp } from '../../support/registry-http.ts';
import { ADMIN_TOKEN, anHttpWorld, AS_ADMIN } from './http-world.ts';

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;
const CONFIG = aContent('{}', OCI_CONFIG);

describe('the door of the registry', () => {
  it.each([
    ['the token as bearer', `Bearer ${ADMIN_TOKEN}`],
    ['the token as password of any user', basic(`anybody:${ADMIN_TOKEN}`)],
    ['the token as password of nobody', basic(`:${ADMIN_TOKEN}`)],
    ['a scheme in small letters (RFC 9110 §11.1)', basic(`x:${ADMIN_TOKEN}`).replace('Basic', 'basic')],
  ])('opens for %s', async (_name, authorization) => {
    const { api } = anHttpWorld();
    expect((await api.inject({ url: '/v2/', headers: { authorization } })).statusCode).toBe(200);
    const post = await api.inject({ method: 'POST', url: '/v2/os/blobs/uploads/', headers: { authorization } });
    expect(post.statusCode).toBe(202);
  });

  it.each([
    ['nothing', undefined],
    ['a wrong password', basic('admin:wrong')],
    ['the token as user name', basic(`${ADMIN_TOKEN}:`)],
    ['the token alone', basic(ADMIN_TOKEN)],
    ['the token with a colon before it', basic(`admin::${ADMIN_TOKEN}`)],
    ['what is no Base64', 'Basic ???'],
    ['a wrong bearer token', 'Bearer wrong'],
    ['an empty header', ''],
    ['another scheme', `Digest ${ADMIN_TOKEN}`],
  ])('stays shut for %s, and says which scheme opens it (RFC 7617 §2)', async (_name, authorization) => {
    const { api } = anHttpWorld();
    for (const [method, url] of [
      ['GET', '/v2/'],
      ['GET', '/v2/os/manifests/latest'],
      ['PUT', '/v2/os/manifests/latest'],
      ['GET', '/v2/os/nothing'],
    ] as const) {
      const answer = await api.inject({ method, url, headers: authorization === undefined ? {} : { authorization } });
      expect([url, answer.statusCode, codesOf(answer)]).toEqual([url, 401, ['UNAUTHORIZED']]);
      expect(answer.headers).toMatchObject({
        'www-authenticate': 'Basic realm="Muster"',
        'docker-distribution-api-version': 'registry/2.0',
      });
      expect(answer.body).not.toContain(ADMIN_TOKEN);
    }
  });

  it('does not open for a browser that is logged in: a foreign page could make it push', async () => {
    const { api, sessions } = anHttpWorld();
    const cookie = `__Host-muster=${sessions.open()}`;
    expect((await api.inject({ url: '/v2/', headers: { cookie } })).statusCode).toBe(401);
  });

  it('is on the API listener alone', async () => {
    const { plain } = anHttpWorld();
    expect((await plain.inject({ url: '/v2/', headers: AS_ADMIN })).statusCode).toBe(404);
  });

  it('lets an address in only so often, and says when to come again', async () => {
    const { limits } = anHttpWorld();
    const { api } = anHttpWorld({ limits: { ...limits, blobBytes: 1000, registryRequestsPerMinute: 2 } });
    const answers = [];
    for (let count = 0; count < 3; count += 1) answers.push(await api.inject({ url: '/v2/', headers: AS_ADMIN }));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 429]);
    expect(codesOf(answers[2]!)).toEqual(['TOOMANYREQUESTS']);
    expect(Number(answers[2]!.headers['retry-after'])).toBeGreaterThan(0);
  });
});

describe('a failure of the registry', () => {
  it('that is a defect shows nothing of itself, and is logged', async () => {
    const { registry } = anHttpWorld();
    registry.listTags = () => Promise.reject(new Error('the secret inside'));
    const { api, logLines } = anHttpWorld({ registry });
    const answer = await api.inject({ url: '/v2/os/tags/list', headers: AS_ADMIN });
    expect([answer.statusCode, codesOf(answer)]).toEqual([500, ['UNKNOWN']]);
    expect(answer.body).not.toContain('secret');
    expect(logLines.join('')).toContain('the secret inside');
  });

  it('for too many uploads is 429 with Retry-After', async () => {
    const { registry } = anHttpWorld();
    registry.startUpload = () =>
      Promise.resolve({ kind: 'refused', code: 'TOOMANYREQUESTS', message: 'There are 1000 uploads already.' });
    const { api } = anHttpWorld({ registry });
    const answer = await api.inject({ method: 'POST', url: '/v2/os/blobs/uploads/', headers: AS_ADMIN });
    expect([answer.statusCode, codesOf(answer)]).toEqual([429, ['TOOMANYREQUESTS']]);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  });

  it('has code, message and detail for each error (distribution-spec "Error Codes")', async () => {
    const { api } = anHttpWorld();
    const answer = await api.inject({ url: '/v2/os/tags/list', headers: AS_ADMIN });
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    expect(answer.json()).toEqual({
      errors: [{ code: 'NAME_UNKNOWN', message: expect.any(String) as string, detail: {} }],
    });
  });

  it('in a query is 400', async () => {
    const { api } = anHttpWorld();
    const answer = await api.inject({ url: '/v2/os/tags/list?n=a', headers: AS_ADMIN });
    expect([answer.statusCode, codesOf(answer)]).toEqual([400, ['UNSUPPORTED']]);
  });
});

describe('a body for the registry', () => {
  it('has any content type, or none', async () => {
    const registry = new RegistryHttp(anHttpWorld().api, AS_ADMIN);
    for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/plain', undefined]) {
      const upload = await registry.start('os');
      const answer = await registry.call('PUT', upload, {
        ...{ query: { digest: CONFIG.digest }, payload: CONFIG.bytes },
        headers: type === undefined ? {} : { 'content-type': type },
      });
      expect([type, answer.statusCode]).toEqual([type, 201]);
    }
  });

  it('that is a manifest may name its type with parameters, in any case (RFC 9110 §8.3.1)', async () => {
    const registry = new RegistryHttp(anHttpWorld().api, AS_ADMIN);
    await registry.push('os', CONFIG);
    const manifest = aManifest(CONFIG, []);
    const mediaType = `${manifest.mediaType.toUpperCase()}; charset=utf-8`;
    expect((await registry.putManifest('os', 'v1', { ...manifest, mediaType })).statusCode).toBe(201);
    const { headers } = await registry.call('HEAD', 'os/manifests/v1');
    expect(headers['content-type']).toBe(manifest.mediaType);
  });
});
