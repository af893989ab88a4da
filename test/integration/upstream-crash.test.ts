// kill -9 in the middle of fetching: what was served before is served after, and nothing that is half there.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Digest } from '../../src/images/digest.ts';
import { FakeRegistry } from '../unit/registry-client/fake-registry.ts';
import { UpstreamWorld } from './upstream-world.ts';

const REPO = 'fleet/os';
const ROUNDS = 8;

describe('a cache that is killed while it fetches', () => {
  const world = new UpstreamWorld();
  const layers = Array.from({ length: 6 }, () => randomBytes(4_000_000));
  let upstream: FakeRegistry;
  let folder: string;
  let child: ChildProcess | undefined;

  beforeAll(async () => {
    upstream = await FakeRegistry.start();
    folder = await mkdtemp(join(tmpdir(), 'muster-upstream-crash-'));
  });
  afterAll(async () => {
    child?.kill('SIGKILL');
    await world.close();
    await upstream.stop();
    await rm(folder, { recursive: true });
  });

  const start = async () => {
    const started = spawn(
      process.execPath,
      [fileURLToPath(new URL('./upstream-process.ts', import.meta.url)), folder, upstream.url],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    child = started;
    const [line] = (await once(started.stdout, 'data')) as [Buffer];
    return { url: line.toString().trim(), started };
  };

  it('serves only what is right, and in the end everything', { timeout: 60_000 }, async () => {
    const digests = layers.map((layer) => upstream.addBlob(REPO, layer));
    const manifest = upstream.addImage(REPO, 'v1', layers);
    const served = new Set<Digest>();
    for (let round = 0; round < ROUNDS; round += 1) {
      const { url, started } = await start();
      const client = world.client({ url });
      const pulls = [
        client.pullManifest(REPO, 'v1'),
        ...digests.map(async (digest, index) => {
          const found = await client.pullBlob(REPO, digest);
          // The client compares the digest itself: a wrong byte would be an error of another kind than a broken connection.
          const bytes = found && (await buffer(found.content));
          if (bytes?.equals(layers[index]!) === true) served.add(digest);
          else if (bytes !== undefined) throw new Error('other bytes came');
        }),
      ];
      const end = wait(20 + round * 25).then(() => started.kill('SIGKILL'));
      const outcomes = await Promise.allSettled(pulls);
      await end;
      if (started.exitCode === null && started.signalCode === null) await once(started, 'exit');
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ reason: 'unreachable' });
    }
    const { url } = await start();
    const client = world.client({ url });
    upstream.requests.length = 0;
    for (const [index, digest] of digests.entries()) {
      const found = await client.pullBlob(REPO, digest);
      expect((await buffer(found!.content)).equals(layers[index]!)).toBe(true);
      if (served.has(digest)) expect(upstream.lines('GET').join()).not.toContain(digest);
    }
    expect((await client.pullManifest(REPO, 'v1'))?.digest).toBe(manifest);
    expect(await readdir(join(folder, 'blobs', 'tmp'))).toEqual([]);
  });
});
