// Many clients push and pull while garbage is collected with almost no grace: what was acknowledged is there and whole.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RegistryService } from '../../src/images/registry/registry-service.ts';
import { aContent, aManifest, digestOf, type Content } from '../support/oci-layout.ts';
import {
  aFileRegistry,
  aMemoryRegistry,
  pushManifest,
  streamOf,
  type RegistryWorld,
} from '../support/registry-world.ts';

const CLIENTS = 32;
const PUSHES = 5;
/** Few, so that clients share layers, take each other's and lose them to the collection between two steps. */
const LAYERS = Array.from({ length: 6 }, (_, number) => aContent(Buffer.alloc(20_000 + number, `layer ${number} `)));

/** With none at all a client may lose to the collection for ever: now and then there is enough for a whole push. */
const GRACES_MS = [0, 1, 3, 10, 300];

interface Acknowledged {
  readonly repository: string;
  readonly tag: string;
  readonly manifest: Content;
  readonly parts: readonly Content[];
}

const ADAPTERS: readonly { name: string; open: (folder: string) => Promise<RegistryWorld> }[] = [
  { name: 'memory', open: () => Promise.resolve(aMemoryRegistry()) },
  { name: 'files and SQLite', open: aFileRegistry },
];

describe.each(ADAPTERS)('32 clients and the garbage collection ($name)', (adapter) => {
  let folder: string;
  let world: RegistryWorld;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-registry-'));
    world = await adapter.open(folder);
  });
  afterEach(async () => {
    await world.close();
    await rm(folder, { recursive: true });
  });

  it('lose no blob, no manifest and no tag that was acknowledged', { timeout: 60_000 }, async () => {
    const acknowledged: Acknowledged[] = [];
    const pushing = new AbortController();
    const collecting = (async () => {
      let removed = 0;
      for (let run = 0; !pushing.signal.aborted; run += 1) {
        removed += (await world.registry.collectGarbage({ graceMs: GRACES_MS[run % GRACES_MS.length]! })).digests
          .length;
        await sleep(5);
      }
      return removed;
    })();
    const pulling = (async () => {
      while (!pushing.signal.aborted) {
        for (const image of acknowledged.slice(-CLIENTS / 4)) await expectPullable(world, image);
        await sleep(1);
      }
    })();
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      for (let number = 0; number < PUSHES; number += 1) {
        acknowledged.push(await pushUntilAcknowledged(world.registry, client, number));
      }
    });
    await Promise.all(clients).finally(() => {
      pushing.abort();
    });
    await pulling;

    expect(await collecting).toBeGreaterThan(0);
    await world.registry.collectGarbage({ graceMs: 0 });
    expect(acknowledged).toHaveLength(CLIENTS * PUSHES);
    for (const image of acknowledged) await expectPullable(world, image);
    const repositories = await world.registry.catalog({});
    expect(repositories.items).toHaveLength(4);
  });
});

/** As clients do: what the registry says it has is not sent; where the manifest is refused, all over again. */
async function pushUntilAcknowledged(registry: RegistryService, client: number, number: number): Promise<Acknowledged> {
  const repository = `fleet/os-${client % 4}`;
  const config = aContent(JSON.stringify({ client, number }));
  const layers = [1, 2, 5].map((step) => LAYERS[(client + number * step) % LAYERS.length]!);
  const manifest = aManifest(config, layers);
  const tag = `client-${client}-${number}`;
  for (;;) {
    for (const content of [config, ...layers]) {
      await pushBlob(registry, repository, content, number);
      // In memory nothing else ever waits.
      await nextTurn();
    }
    const stored = await pushManifest(registry, repository, tag, manifest);
    if (stored.kind === 'stored') return { repository, tag, manifest, parts: [config, ...layers] };
    if (stored.code !== 'MANIFEST_BLOB_UNKNOWN') throw new Error(stored.message);
  }
}

async function pushBlob(
  registry: RegistryService,
  repository: string,
  content: Content,
  number: number,
): Promise<void> {
  const { digest, bytes } = content;
  if ((await registry.headBlob(repository, digest)).kind === 'found') return;
  const started = await registry.startUpload({ repository, ...(number % 2 === 0 && { mount: digest }) });
  if (started.kind === 'mounted') return;
  if (started.kind === 'refused') throw new Error(started.message);
  const upload = { repository, id: started.id };
  const half = Math.floor(bytes.length / 2);
  await registry.appendUpload({ ...upload, content: streamOf(bytes.subarray(0, half)) });
  const last = streamOf(bytes.subarray(half));
  const stored = await registry.finishUpload({ ...upload, digest, content: last });
  if (stored.kind !== 'stored') throw new Error(stored.kind);
}

async function expectPullable({ registry, blobs }: RegistryWorld, image: Acknowledged): Promise<void> {
  const found = await registry.getManifest(image.repository, image.tag);
  expect(found).toMatchObject({ kind: 'found', bytes: image.manifest.bytes });
  for (const { digest } of image.parts) {
    expect(await registry.getBlob(image.repository, digest)).toMatchObject({ kind: 'found' });
    expect(digestOf(await buffer(blobs.read(digest)))).toBe(digest);
  }
}
