// OCI distribution-spec 1.1, endpoint by endpoint in the numbers of its table: what each answers and how it fails. The cases are
// those of the spec's text and of its conformance program; nothing here knows how the registry keeps what it has. Pull: end-1 to end-3.
import { beforeEach, describe, expect, it } from 'vitest';
import { aContent, aManifest, OCI_MANIFEST } from '../support/oci-layout.ts';
import {
  aBlob,
  ALGORITHMS,
  codesOf,
  CONFIG,
  IMAGE,
  LAYER,
  NOWHERE,
  OTHER,
  REPO,
  RegistryHttp,
} from '../support/registry-http.ts';
import { anHttpWorld, AS_ADMIN } from '../unit/http/http-world.ts';

let registry: RegistryHttp;

beforeEach(() => {
  registry = new RegistryHttp(anHttpWorld().api, AS_ADMIN);
});

describe('end-1: GET /v2/', () => {
  it.each(['/v2/', '/v2'])('says that the registry is here: %s', async (path) => {
    const answer = await registry.call('GET', path);
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0');
    expect((await registry.call('HEAD', path)).statusCode).toBe(200);
  });

  it('answers 404 for what is no endpoint, and 405 with Allow for a method that an endpoint lacks', async () => {
    const nothing = await registry.call('GET', 'os/nothing/here');
    expect([nothing.statusCode, codesOf(nothing)]).toEqual([404, ['UNSUPPORTED']]);
    const wrong = await registry.call('PUT', `${REPO}/tags/list`);
    expect([wrong.statusCode, codesOf(wrong), wrong.headers.allow]).toEqual([405, ['UNSUPPORTED'], 'GET']);
  });
});

describe.each(ALGORITHMS)('end-2: GET and HEAD of a blob, %s', (algorithm) => {
  it('gives the bytes, with length, digest, and HEAD as GET without a body', async () => {
    const blob = aBlob(3_000, algorithm);
    await registry.push(REPO, blob);
    for (const method of ['GET', 'HEAD'] as const) {
      const answer = await registry.call(method, `${REPO}/blobs/${blob.digest}`);
      expect(answer.statusCode).toBe(200);
      expect(answer.headers).toMatchObject({
        'content-length': '3000',
        'docker-content-digest': blob.digest,
        'accept-ranges': 'bytes',
        'docker-distribution-api-version': 'registry/2.0',
        'cache-control': expect.stringContaining('immutable') as string,
      });
      expect(answer.rawPayload.equals(method === 'GET' ? blob.bytes : Buffer.alloc(0))).toBe(true);
    }
  });

  it.each([
    ['bytes=500-1499', 500, 1_500],
    ['bytes=500-', 500, 2_048],
    ['bytes=-500', 1_548, 2_048],
    ['bytes=2000-5000', 2_000, 2_048],
  ])('gives the part that Range %s asks for (RFC 9110 §14.2)', async (range, start, end) => {
    const blob = aBlob(2_048, algorithm);
    await registry.push(REPO, blob);
    const answer = await registry.call('GET', `${REPO}/blobs/${blob.digest}`, { headers: { range } });
    expect(answer.statusCode).toBe(206);
    expect(answer.headers['content-range']).toBe(`bytes ${start}-${end - 1}/2048`);
    expect(answer.headers['content-length']).toBe(String(end - start));
    expect(answer.rawPayload.equals(blob.bytes.subarray(start, end))).toBe(true);
  });

  it.each(['bytes=500-0', 'bytes=5000-10000'])('answers 416 to Range %s', async (range) => {
    const blob = aBlob(2_048, algorithm);
    await registry.push(REPO, blob);
    const answer = await registry.call('GET', `${REPO}/blobs/${blob.digest}`, { headers: { range } });
    expect([answer.statusCode, answer.headers['content-range']]).toEqual([416, 'bytes */2048']);
  });

  it('answers 404 for a blob that is not there or in another repository, 400 for what is no digest', async () => {
    const blob = aBlob(100, algorithm);
    await registry.push(OTHER, blob);
    for (const method of ['GET', 'HEAD'] as const) {
      expect((await registry.call(method, `${REPO}/blobs/${blob.digest}`)).statusCode).toBe(404);
      expect((await registry.call(method, `${REPO}/blobs/${algorithm}:short`)).statusCode).toBe(400);
    }
    expect(codesOf(await registry.call('GET', `${REPO}/blobs/${blob.digest}`))).toEqual(['BLOB_UNKNOWN']);
    expect(codesOf(await registry.call('GET', `${REPO}/blobs/${algorithm}:short`))).toEqual(['DIGEST_INVALID']);
  });
});

describe('end-3: GET and HEAD of a manifest', () => {
  it('gives by tag and by digest the very bytes that were pushed, with the type they came with', async () => {
    await registry.push(REPO, CONFIG, LAYER);
    const odd = aContent(`${IMAGE.bytes.toString()} \n\t`, OCI_MANIFEST);
    await registry.putManifest(REPO, 'odd', odd);
    for (const reference of ['odd', odd.digest]) {
      for (const method of ['GET', 'HEAD'] as const) {
        const answer = await registry.call(method, `${REPO}/manifests/${reference}`);
        expect(answer.statusCode).toBe(200);
        expect(answer.headers).toMatchObject({
          'content-type': OCI_MANIFEST,
          'content-length': String(odd.bytes.length),
          'docker-content-digest': odd.digest,
        });
        expect(answer.rawPayload.equals(method === 'GET' ? odd.bytes : Buffer.alloc(0))).toBe(true);
      }
    }
  });

  it('keeps the Docker type of a Docker manifest', async () => {
    const type = 'application/vnd.docker.distribution.manifest.v2+json';
    await registry.push(REPO, CONFIG, LAYER);
    const docker = { ...aManifest(CONFIG, [LAYER], { mediaType: type }), mediaType: type };
    expect((await registry.putManifest(REPO, 'docker', docker)).statusCode).toBe(201);
    expect((await registry.call('GET', `${REPO}/manifests/docker`)).headers['content-type']).toBe(type);
  });

  it('lets caches keep what a digest names, and ask again for what a tag names', async () => {
    await registry.pushImage();
    const byDigest = await registry.call('GET', `${REPO}/manifests/${IMAGE.digest}`);
    const byTag = await registry.call('GET', `${REPO}/manifests/v1`);
    expect(byDigest.headers['cache-control']).toContain('immutable');
    expect(byTag.headers['cache-control']).toBe('no-cache');
    const headers = { 'if-none-match': String(byTag.headers.etag) };
    expect((await registry.call('GET', `${REPO}/manifests/v1`, { headers })).statusCode).toBe(304);
  });

  it.each(['v2', NOWHERE, '.INVALID_MANIFEST_NAME'])('answers 404 for %s, with MANIFEST_UNKNOWN', async (reference) => {
    await registry.pushImage();
    for (const method of ['GET', 'HEAD'] as const)
      expect((await registry.call(method, `${REPO}/manifests/${reference}`)).statusCode).toBe(404);
    expect(codesOf(await registry.call('GET', `${REPO}/manifests/${reference}`))).toEqual(['MANIFEST_UNKNOWN']);
  });

  it('answers 404 for a repository that is not there, 400 for a name that cannot be', async () => {
    const missing = await registry.call('GET', 'no/such/place/manifests/v1');
    expect([missing.statusCode, codesOf(missing)]).toEqual([404, ['NAME_UNKNOWN']]);
    for (const name of ['Upper/Case', 'a..b', '-a', 'a___b', 'a%2F..%2Fb', 'a'.repeat(201)]) {
      const invalid = await registry.call('GET', `${name}/manifests/v1`);
      expect([name, invalid.statusCode, codesOf(invalid)]).toEqual([name, 400, ['NAME_INVALID']]);
    }
  });
});
