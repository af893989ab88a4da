// nginx as the cache before the boot listener, with the configuration of docs/scale.md itself.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { HttpApp } from '../../src/http/http-app.ts';
import { artifactRoutes } from '../../src/http/routes/artifacts.ts';
import { SystemClock } from '../../src/platform/clock.ts';
import { openFileBlobStore } from '../../src/storage/files/file-blob-store.ts';
import { digestOf } from '../support/oci-layout.ts';

const SLICE = 16 * 1024 * 1024;
const hasNginx = spawnSync('nginx', ['-v']).status === 0;

describe.skipIf(!hasNginx)(`nginx before the boot listener${hasNginx ? '' : ' (needs nginx)'}`, () => {
  const squashfs = randomBytes(2 * SLICE + 5_000_000);
  const digest = digestOf(squashfs);
  const requests: (string | undefined)[] = [];
  let folder: string;
  let listener: HttpApp;
  let nginx: ChildProcess;
  let cache: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-nginx-'));
    const blobs = await openFileBlobStore(join(folder, 'blobs'));
    await blobs.put(digest, Readable.from([squashfs]), squashfs.length);
    listener = fastify();
    listener.setValidatorCompiler(validatorCompiler);
    listener.setSerializerCompiler(serializerCompiler);
    listener.addHook('onRequest', (request, _reply, done) => {
      requests.push(request.headers.range);
      done();
    });
    const find = (text: string) =>
      Promise.resolve(text === digest ? { digest, sizeBytes: squashfs.length } : undefined);
    artifactRoutes(listener, { artifacts: { find }, blobs, clock: new SystemClock() });
    await listener.listen({ port: 0, host: '127.0.0.1' });
    const port = await freePort();
    cache = `http://127.0.0.1:${port}`;
    const upstream = (listener.server.address() as AddressInfo).port;
    nginx = spawn('nginx', ['-p', folder, '-c', await writeConfiguration(folder, port, upstream)], {
      stdio: 'inherit',
    });
    await reachable(cache);
  }, 60_000);

  afterAll(async () => {
    if (nginx.exitCode === null) {
      nginx.kill('SIGTERM');
      await once(nginx, 'exit');
    }
    await listener.close();
    await rm(folder, { recursive: true });
  });

  beforeEach(() => {
    requests.length = 0;
  });

  const get = async (headers: Record<string, string> = {}, path = `${digest}/rootfs.squashfs`, method = 'GET') => {
    const answer = await fetch(`${cache}/artifacts/${path}`, { headers, method });
    return { status: answer.status, headers: answer.headers, body: Buffer.from(await answer.arrayBuffer()) };
  };

  it('32 machines that ask at once cost Muster one fetch, and each gets the right bytes', async () => {
    const answers = await Promise.all(Array.from({ length: 32 }, () => get()));
    expect(answers.every(({ status, body }) => status === 200 && body.equals(squashfs))).toBe(true);
    const slices = [0, 1, 2].map((n) => `bytes=${n * SLICE}-${(n + 1) * SLICE - 1}`);
    expect(requests.toSorted()).toEqual(slices.toSorted());
  });

  it('the next machine costs nothing, under whatever name it asks', async () => {
    for (const path of [digest, `${digest}/rootfs.squashfs`, `${digest}/rootfs.iso`]) {
      const answer = await get({}, path);
      expect(answer.body.equals(squashfs)).toBe(true);
      expect(answer.headers.get('x-cache')).toBe('HIT');
      expect(answer.headers.get('etag')).toBe(`"${digest.replace(':', '-')}"`);
      expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    }
    expect(requests).toEqual([]);
  });

  it.each([
    ['bytes=0-0', 0, 1],
    [`bytes=${SLICE - 10}-${SLICE + 9}`, SLICE - 10, SLICE + 10],
    ['bytes=-100', squashfs.length - 100, squashfs.length],
    [`bytes=${squashfs.length - 7}-`, squashfs.length - 7, squashfs.length],
  ])('answers %s with that part', async (range, start, end) => {
    const answer = await get({ range });
    expect(answer.status).toBe(206);
    expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${squashfs.length}`);
    expect(answer.body.equals(squashfs.subarray(start, end))).toBe(true);
  });

  it('answers HEAD with the whole length, and a known ETag with 304', async () => {
    const head = await get({}, digest, 'HEAD');
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(squashfs.length)]);
    expect((await get({ 'if-none-match': head.headers.get('etag') ?? '' })).status).toBe(304);
  });

  it('passes nothing else on, and keeps no refusal', async () => {
    const unknown = digestOf(Buffer.from('unknown'));
    for (let time = 0; time < 2; time += 1) expect((await get({}, unknown)).status).toBe(404);
    expect(requests).toHaveLength(2);
    for (const path of ['/boot/token/boot.ipxe', '/healthz', '/']) expect((await fetch(cache + path)).status).toBe(404);
    expect(requests).toHaveLength(2);
  });

  it('serves on while Muster is down', async () => {
    listener.server.closeAllConnections();
    await listener.close();
    expect((await get()).body.equals(squashfs)).toBe(true);
  });
});

/** The block of docs/scale.md, with only ports and folders changed. */
async function writeConfiguration(folder: string, port: number, upstream: number): Promise<string> {
  const text = await readFile(resolve(import.meta.dirname, '../../docs/scale.md'), 'utf8');
  const block = /```nginx\n([\s\S]+?)```/.exec(text)?.[1] ?? '';
  const site = block
    .replace('/var/cache/nginx/muster', join(folder, 'cache'))
    .replace('192.0.2.10:8080', `127.0.0.1:${upstream}`)
    .replace('listen 80;', `listen 127.0.0.1:${port};`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  );
  await mkdir(join(folder, 'cache'));
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const path = join(folder, 'nginx.conf');
  await writeFile(
    path,
    `${user} daemon off; worker_processes 2; pid ${join(folder, 'pid')}; error_log stderr warn;
     events {} http { access_log off; ${temporary.join(' ')} ${site} }`,
  );
  return path;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function reachable(url: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if ((await fetch(url).catch(() => undefined)) !== undefined) return;
    await wait(50);
  }
  throw new Error('nginx did not start');
}
