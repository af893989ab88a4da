// A rack's registry as the pull-through cache of a central one: two HTTP registries over file stores.
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Digest } from '../../src/images/digest.ts';
import type { RegistryClient } from '../../src/registry-client/registry-client.ts';
import { aContent, aManifest, OCI_CONFIG, OCI_LAYER, type Content } from '../support/oci-layout.ts';
import { FakeRegistry } from '../unit/registry-client/fake-registry.ts';
import { leftovers, UpstreamWorld, type Rack, type Site } from './upstream-world.ts';

const REPO = 'fleet/os';
const CONFIG = aContent('{"architecture":"amd64","os":"linux"}', OCI_CONFIG);
const LAYER = aContent(randomBytes(3_000_000), OCI_LAYER);
const IMAGE = aManifest(CONFIG, [LAYER]);

let world: UpstreamWorld;
beforeEach(() => {
  world = new UpstreamWorld();
});
afterEach(() => world.close());

async function push(
  client: RegistryClient,
  tag: string,
  image: Content = IMAGE,
  blobs: readonly Content[] = [CONFIG, LAYER],
) {
  for (const { digest, bytes } of blobs)
    await client.pushBlob(REPO, {
      digest,
      sizeBytes: bytes.length,
      open: (start) => Readable.from([bytes.subarray(start)]),
    });
  await client.pushManifest(REPO, tag, { mediaType: image.mediaType, content: image.bytes });
}

async function pull(client: RegistryClient, digest: Digest, repository = REPO): Promise<Buffer | undefined> {
  const found = await client.pullBlob(repository, digest);
  return found && buffer(found.content);
}

const blobGets = (site: Site, { digest }: Content = LAYER) =>
  site.requests.filter((line) => line.startsWith('GET') && line.endsWith(`/blobs/${digest}`));

describe('a pull through the cache', () => {
  let central: Site;
  let rack: Rack;
  let client: RegistryClient;
  beforeEach(async () => {
    central = await world.central();
    await push(world.client(central), 'v1');
    central.requests.length = 0;
    rack = await world.rack(central.url);
    client = world.client(rack);
  });

  it('gives what the upstream has, byte for byte, and asks only once', async () => {
    for (let time = 0; time < 2; time += 1) {
      const manifest = await client.pullManifest(REPO, 'v1');
      expect(manifest).toMatchObject({ digest: IMAGE.digest, mediaType: IMAGE.mediaType });
      expect(manifest?.content.equals(IMAGE.bytes)).toBe(true);
      expect((await pull(client, LAYER.digest))?.equals(LAYER.bytes)).toBe(true);
    }
    expect(blobGets(central)).toHaveLength(1);
    expect(central.requests.filter((line) => line.includes('/manifests/'))).toHaveLength(1);
    expect(rack.reports.map(({ kind }) => kind)).toEqual(['manifest-fetched', 'blob-fetched']);
    expect(await leftovers(rack)).toEqual([]);
  });

  it('fetches once however many ask at the same time', async () => {
    const pulled = await Promise.all(Array.from({ length: 32 }, () => pull(client, LAYER.digest)));
    expect(pulled.every((bytes) => bytes?.equals(LAYER.bytes))).toBe(true);
    expect(blobGets(central)).toHaveLength(1);
  });

  it('serves what it has while the upstream is down', async () => {
    await client.pullManifest(REPO, 'v1');
    await pull(client, LAYER.digest);
    await central.stop();
    world.clock.skip(120_000);
    expect((await client.pullManifest(REPO, 'v1'))?.digest).toBe(IMAGE.digest);
    expect((await pull(client, LAYER.digest))?.equals(LAYER.bytes)).toBe(true);
    expect(rack.reports.at(-1)).toMatchObject({ kind: 'failed', reason: 'unreachable', reference: 'v1' });
    // Known to be down: nobody waits for it again.
    const before = rack.reports.length;
    await client.pullManifest(REPO, 'v1');
    await expect(client.pullManifest(REPO, 'v2')).resolves.toBeUndefined();
    expect(rack.reports).toHaveLength(before);
  });

  it('looks at a tag again after a while, and follows it', async () => {
    await client.pullManifest(REPO, 'v1');
    const other = aContent('another layer', OCI_LAYER);
    const moved = aManifest(CONFIG, [other]);
    await push(world.client(central), 'v1', moved, [CONFIG, other]);
    expect((await client.pullManifest(REPO, 'v1'))?.digest).toBe(IMAGE.digest);
    world.clock.skip(61_000);
    expect((await client.pullManifest(REPO, 'v1'))?.digest).toBe(moved.digest);
  });

  it('says that there is no such thing, and remembers it for a moment', async () => {
    expect(await client.pullManifest(REPO, 'none')).toBeUndefined();
    expect(await client.pullManifest(REPO, 'none')).toBeUndefined();
    expect(await pull(client, aContent('nowhere').digest)).toBeUndefined();
    expect(central.requests.filter((line) => line.includes('none'))).toHaveLength(1);
    await push(world.client(central), 'none');
    world.clock.skip(11_000);
    expect(await client.pullManifest(REPO, 'none')).toBeDefined();
  });

  it('knows the referrers of the upstream, also while it is down', async () => {
    await client.pullManifest(REPO, 'v1');
    const signature = aManifest(CONFIG, [], {
      artifactType: 'x/signature',
      subject: { mediaType: IMAGE.mediaType, digest: IMAGE.digest, size: IMAGE.bytes.length },
    });
    await push(world.client(central), signature.digest, signature, [CONFIG]);
    expect(await client.listReferrers(REPO, IMAGE.digest)).toMatchObject([{ digest: signature.digest }]);
    await central.stop();
    world.clock.skip(120_000);
    expect(await client.listReferrers(REPO, IMAGE.digest)).toMatchObject([{ digest: signature.digest }]);
  });

  it('takes pushes of its own beside what comes from upstream', async () => {
    const own = aContent('own', OCI_LAYER);
    await push(client, 'mine', aManifest(CONFIG, [own]), [CONFIG, own]);
    world.clock.skip(61_000);
    expect((await client.pullManifest(REPO, 'mine'))?.digest).toBe(aManifest(CONFIG, [own]).digest);
  });

  it('gives a repository only the blobs that its upstream has under that name', async () => {
    await pull(client, LAYER.digest);
    expect(await pull(client, LAYER.digest, 'other/os')).toBeUndefined();
    await world.client(central).pushBlob('other/os', {
      digest: LAYER.digest,
      sizeBytes: LAYER.bytes.length,
      open: () => Readable.from([LAYER.bytes]),
    });
    world.clock.skip(11_000);
    expect((await pull(client, LAYER.digest, 'other/os'))?.equals(LAYER.bytes)).toBe(true);
  });

  it('keeps what it fetched when garbage is collected, and fetches again what went', async () => {
    await client.pullManifest(REPO, 'v1');
    await pull(client, LAYER.digest);
    world.clock.skip(2 * 3600_000);
    expect((await rack.registry.collectGarbage({ graceMs: 3600_000 })).digests).toEqual([]);
    await rack.registry.deleteManifest(REPO, IMAGE.digest);
    world.clock.skip(2 * 3600_000);
    expect((await rack.registry.collectGarbage({ graceMs: 3600_000 })).digests).toContain(LAYER.digest);
    expect((await client.pullManifest(REPO, 'v1'))?.digest).toBe(IMAGE.digest);
    expect((await pull(client, LAYER.digest))?.equals(LAYER.bytes)).toBe(true);
  });
});

describe('the name of a repository', () => {
  it('stands for a folder of the upstream where a prefix says so', async () => {
    const central = await world.central();
    await push(world.client(central), 'v1');
    const rack = await world.rack(`${central.url}/fleet`, { prefix: 'hub' });
    const client = world.client(rack);
    expect((await client.pullManifest('hub/os', 'v1'))?.digest).toBe(IMAGE.digest);
    expect((await pull(client, LAYER.digest, 'hub/os'))?.equals(LAYER.bytes)).toBe(true);
    expect(await client.pullManifest('os', 'v1')).toBeUndefined();
    expect(await client.pullManifest('hubble/os', 'v1')).toBeUndefined();
  });
});

describe('a chain of caches', () => {
  it('serves through both', async () => {
    const central = await world.central();
    await push(world.client(central), 'v1');
    const site = await world.rack(central.url);
    const rack = await world.rack(site.url);
    expect((await pull(world.client(rack), LAYER.digest))?.equals(LAYER.bytes)).toBe(true);
    expect(blobGets(central)).toHaveLength(1);
  });
});

describe('an upstream that misbehaves', () => {
  let upstream: FakeRegistry;
  beforeEach(async () => {
    upstream = await FakeRegistry.start();
  });
  afterEach(() => upstream.stop());

  it('never gets bytes served that do not have their digest', async () => {
    upstream.blobs.set(`${REPO} ${LAYER.digest}`, Buffer.alloc(LAYER.bytes.length));
    const rack = await world.rack(upstream.url);
    expect(await pull(world.client(rack), LAYER.digest)).toBeUndefined();
    expect(rack.reports.at(-1)).toMatchObject({ kind: 'failed', reason: 'digest-mismatch' });
    expect(await rack.blobs.size(LAYER.digest)).toBeUndefined();
    expect(await leftovers(rack)).toEqual([]);
    // Not fetched again at once, and taken when it is right.
    expect(await pull(world.client(rack), LAYER.digest)).toBeUndefined();
    expect(upstream.lines('GET')).toHaveLength(1);
    upstream.blobs.set(`${REPO} ${LAYER.digest}`, LAYER.bytes);
    world.clock.skip(61_000);
    expect((await pull(world.client(rack), LAYER.digest))?.equals(LAYER.bytes)).toBe(true);
  });

  it('does not get a manifest in that is none', async () => {
    const digest = upstream.addManifest(REPO, 'v1', { mediaType: IMAGE.mediaType, schemaVersion: 2 });
    const rack = await world.rack(upstream.url);
    expect(await world.client(rack).pullManifest(REPO, 'v1')).toBeUndefined();
    expect(rack.reports.at(-1)).toMatchObject({ kind: 'failed', reason: 'invalid-answer' });
    expect(await rack.store.findManifest(REPO, digest)).toBeUndefined();
  });

  it('is gone on with where a connection broke', async () => {
    upstream.addBlob(REPO, LAYER.bytes);
    upstream.breakAfter = { bytes: 1_000_000, times: 2 };
    const rack = await world.rack(upstream.url);
    expect((await pull(world.client(rack), LAYER.digest))?.equals(LAYER.bytes)).toBe(true);
    expect(upstream.requests.filter(({ headers }) => headers.range !== undefined)).toHaveLength(2);
  });

  it('that wants other credentials is told apart from one that is down', async () => {
    upstream.auth = 'basic';
    upstream.addImage(REPO, 'v1', []);
    const rack = await world.rack(upstream.url);
    expect(await world.client(rack).pullManifest(REPO, 'v1')).toBeUndefined();
    expect(rack.reports.at(-1)).toMatchObject({ kind: 'failed', reason: 'unauthorised' });
  });
});

describe('a fetch that failed for good', () => {
  it('is gone on with at the next try, where the store had confirmed what came', async () => {
    const upstream = await FakeRegistry.start();
    upstream.addBlob(REPO, LAYER.bytes);
    upstream.breakAfter = { bytes: 600_000, times: 1 };
    upstream.fault = (_request, response) => {
      if (upstream.breakAfter?.times !== 0) return false;
      response.destroy();
      return true;
    };
    const rack = await world.rack(upstream.url);
    expect(await pull(world.client(rack), LAYER.digest)).toBeUndefined();
    expect(rack.reports.at(-1)).toMatchObject({ kind: 'failed', reason: 'broken-off' });
    Object.assign(upstream, { fault: () => false, breakAfter: undefined });
    upstream.requests.length = 0;
    world.clock.skip(16_000);
    expect((await pull(world.client(rack), LAYER.digest))?.equals(LAYER.bytes)).toBe(true);
    expect(upstream.requests.map(({ headers }) => headers.range)).toEqual(['bytes=500000-']);
    await upstream.stop();
  });
});
