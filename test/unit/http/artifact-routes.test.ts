// /artifacts/<digest>: what anybody may fetch, and how caches are told to keep it.
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { beforeEach, describe, expect, it } from 'vitest';
import { handleError } from '../../../src/http/error-handler.ts';
import type { HttpApp } from '../../../src/http/http-app.ts';
import { artifactRoutes } from '../../../src/http/routes/artifacts.ts';
import type { BootImage } from '../../../src/images/boot-image.ts';
import type { Conversion } from '../../../src/images/conversion/conversion.ts';
import type { Digest } from '../../../src/images/digest.ts';
import { PublicArtifacts } from '../../../src/images/public-artifacts.ts';
import { MemoryBlobStore } from '../../../src/storage/memory/memory-blob-store.ts';
import { digestOf } from '../../support/oci-layout.ts';

const KERNEL = randomBytes(3000);
const LAYER = randomBytes(100);

let blobs: MemoryBlobStore;
let conversions: Conversion[];
let lists: number;
let time: number;
let app: HttpApp;

const add = async (bytes: Buffer): Promise<Digest> => {
  const digest = digestOf(bytes);
  await blobs.put(digest, Readable.from([bytes]), 1e6);
  return digest;
};

const ready = (kernel: Digest): Conversion => {
  const [digest, part] = [digestOf(Buffer.from('image')), { digest: kernel, sizeBytes: KERNEL.length }];
  const image = { name: 'fleet/os', digest, kernel: part, initrd: part, squashfs: part } as unknown as BootImage;
  return {
    ...{ repository: 'fleet/os', digest, image },
    state: 'ready',
    manifest: digest,
    queuedAt: 0,
    changedAt: 0,
    attempts: 1,
  };
};

beforeEach(() => {
  blobs = new MemoryBlobStore();
  [conversions, lists, time] = [[], 0, 1_000_000];
  const clock = { now: () => time };
  const list = () => {
    lists += 1;
    return Promise.resolve(conversions);
  };
  app = fastify();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(handleError);
  artifactRoutes(app, { artifacts: new PublicArtifacts({ conversions: { list }, blobs, clock }), blobs, clock });
});

const get = (path: string, headers = {}, method: 'GET' | 'HEAD' = 'GET') =>
  app.inject({ method, url: `/artifacts/${path}`, headers });

describe('/artifacts/<digest>', () => {
  it('serves a kernel to be kept for ever, with a strong ETag (RFC 9110 §8.8.3, RFC 8246)', async () => {
    const digest = await add(KERNEL);
    conversions = [ready(digest)];
    for (const path of [digest, `${digest}/vmlinuz`, `${digest}/rootfs.iso`]) {
      const answer = await get(path);
      expect([answer.statusCode, answer.rawPayload.equals(KERNEL)]).toEqual([200, true]);
      expect(answer.headers).toMatchObject({
        'cache-control': 'public, max-age=31536000, immutable',
        etag: `"${digest.replace(':', '-')}"`,
        'content-length': '3000',
        'accept-ranges': 'bytes',
      });
      expect(answer.headers).not.toHaveProperty('set-cookie');
      expect(answer.headers).not.toHaveProperty('vary');
    }
  });

  it('answers HEAD, Range and If-None-Match', async () => {
    const digest = await add(KERNEL);
    conversions = [ready(digest)];
    const head = await get(digest, {}, 'HEAD');
    expect([head.statusCode, head.headers['content-length'], head.body]).toEqual([200, '3000', '']);
    const part = await get(digest, { range: 'bytes=100-199' });
    expect([part.statusCode, part.rawPayload.equals(KERNEL.subarray(100, 200))]).toEqual([206, true]);
    expect(part.headers['content-range']).toBe('bytes 100-199/3000');
    const known = await get(digest, { 'if-none-match': String(head.headers.etag) });
    expect([known.statusCode, known.headers['cache-control']]).toEqual([304, 'public, max-age=31536000, immutable']);
  });

  it('is no door to other blobs, and does not tell whether they are there', async () => {
    conversions = [ready(await add(KERNEL))];
    const [here, nowhere] = [await get(await add(LAYER)), await get(digestOf(Buffer.from('nowhere')))];
    expect([here.statusCode, here.body]).toEqual([nowhere.statusCode, nowhere.body]);
    expect(here.statusCode).toBe(404);
    expect(here.headers['cache-control']).toBe('no-store');
  });

  it.each(['sha256:1', 'x', '..%2f..%2fetc'])('has nothing for %s', async (path) => {
    expect((await get(path)).statusCode).toBe(404);
  });

  it('has nothing of images that are not ready', async () => {
    const { repository, digest, queuedAt, changedAt, attempts } = ready(await add(KERNEL));
    conversions = [{ repository, digest, queuedAt, changedAt, attempts, state: 'converting' }];
    expect((await get(digestOf(KERNEL))).statusCode).toBe(404);
  });

  it('knows an image soon after it is ready, and forgets one that was removed', async () => {
    const digest = await add(KERNEL);
    expect((await get(digest)).statusCode).toBe(404);
    conversions = [ready(digest)];
    time += 1_001;
    expect((await get(digest)).statusCode).toBe(200);
    conversions = [];
    time += 30_001;
    expect((await get(digest)).statusCode).toBe(404);
  });

  it('reads the list of images once a second at most, whatever is asked for', async () => {
    for (let count = 0; count < 20; count += 1) await get(digestOf(Buffer.from(String(count))));
    expect(lists).toBe(1);
  });
});
