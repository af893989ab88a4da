// Whole images of a central registry come to a rack, so that its machines can boot them.
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Digest } from '../../src/images/digest.ts';
import { UpstreamMirror } from '../../src/images/upstream/upstream-mirror.ts';
import {
  aContent,
  aDescriptor,
  aManifest,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  type Content,
} from '../support/oci-layout.ts';
import { UpstreamWorld, type Rack, type Site } from './upstream-world.ts';

const REPO = 'fleet/os';
const CONFIG = aContent('{"architecture":"amd64","os":"linux"}', OCI_CONFIG);
const LAYER = aContent('amd64 layer', OCI_LAYER);
const OTHER = aContent('arm64 layer', OCI_LAYER);
const IMAGE = aManifest(CONFIG, [LAYER]);
const platform = { os: 'linux', architecture: 'amd64' };

let world: UpstreamWorld;
let central: Site;
let rack: Rack;
let mirror: UpstreamMirror;
let announced: { digest: Digest; tags: readonly string[] }[];

beforeEach(async () => {
  world = new UpstreamWorld();
  central = await world.central();
  rack = await world.rack(central.url);
  announced = [];
  rack.registry.onManifestStored(({ record, tags }) => void announced.push({ digest: record.digest, tags }));
  const onFailure = (error: unknown) => {
    throw error;
  };
  mirror = new UpstreamMirror({ cache: rack.cache, registry: rack.registry, clock: world.clock, platform, onFailure });
});
afterEach(() => world.close());

async function push(reference: string, manifest: Content, ...blobs: Content[]) {
  const client = world.client(central);
  for (const { digest, bytes } of blobs)
    await client.pushBlob(REPO, {
      digest,
      sizeBytes: bytes.length,
      open: (start) => Readable.from([bytes.subarray(start)]),
    });
  await client.pushManifest(REPO, reference, { mediaType: manifest.mediaType, content: manifest.bytes });
}

const has = async (...contents: Content[]) =>
  (await Promise.all(contents.map(({ digest }) => rack.store.hasBlob(REPO, digest)))).every(Boolean);

describe('UpstreamMirror', () => {
  it('brings all of an image and then its tag, and announces it as a push', async () => {
    await push('v1', IMAGE, CONFIG, LAYER);
    expect(mirror.request({ name: REPO, kind: 'tag', tag: 'v1' })).toEqual({ kind: 'fetching' });
    expect(await mirror.mirror(REPO, 'v1')).toEqual({ kind: 'complete', digest: IMAGE.digest });
    expect(mirror.request({ name: REPO, kind: 'tag', tag: 'v1' })).toMatchObject({ kind: 'complete' });
    expect(await has(CONFIG, LAYER)).toBe(true);
    expect(await rack.store.resolveTag(REPO, 'v1')).toBe(IMAGE.digest);
    expect(announced).toEqual([{ digest: IMAGE.digest, tags: ['v1'] }]);
  });

  it('leaves the tag where it is until all of the new image is here', async () => {
    await push('v1', IMAGE, CONFIG, LAYER);
    await mirror.mirror(REPO, 'v1');
    const next = aManifest(CONFIG, [OTHER]);
    await push('v1', next, OTHER);
    const path = central.blobs;
    await path.remove(OTHER.digest);
    world.clock.skip(61_000);
    expect(await mirror.mirror(REPO, 'v1')).toMatchObject({ kind: 'incomplete' });
    expect(await rack.store.resolveTag(REPO, 'v1')).toBe(IMAGE.digest);
  });

  it('brings the signatures too, referrer or tag', async () => {
    await push('v1', IMAGE, CONFIG, LAYER);
    const payload = aContent('a signature', 'application/vnd.dev.cosign.simplesigning.v1+json');
    const subject = aDescriptor(IMAGE);
    const referrer = aManifest(CONFIG, [payload], { artifactType: 'x/signature', subject });
    const tagged = aManifest(CONFIG, [OTHER]);
    await push(referrer.digest, referrer, payload);
    await push(`${IMAGE.digest.replace(':', '-')}.sig`, tagged, OTHER);
    await mirror.mirror(REPO, 'v1');
    expect(await has(payload, OTHER)).toBe(true);
    expect(await rack.store.listReferrers(REPO, IMAGE.digest)).toHaveLength(1);
    expect(await rack.store.resolveTag(REPO, `${IMAGE.digest.replace(':', '-')}.sig`)).toBe(tagged.digest);
  });

  it('brings of an index the image for our platform alone', async () => {
    const arm = aManifest(CONFIG, [OTHER]);
    await push(IMAGE.digest, IMAGE, CONFIG, LAYER);
    await push(arm.digest, arm, OTHER);
    const manifests = [
      { ...aDescriptor(arm), platform: { os: 'linux', architecture: 'arm64' } },
      { ...aDescriptor(IMAGE), platform },
    ];
    const index = aContent(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }), OCI_INDEX);
    await push('multi', index);
    expect(await mirror.mirror(REPO, 'multi')).toEqual({ kind: 'complete', digest: index.digest });
    expect([await has(LAYER), await has(OTHER)]).toEqual([true, false]);
    expect(await rack.store.resolveTag(REPO, 'multi')).toBe(index.digest);
  });

  it('announces once more what a pull had named before all of it was here', async () => {
    await push('v1', IMAGE, CONFIG, LAYER);
    await world.client(rack).pullManifest(REPO, 'v1');
    expect(announced).toEqual([]);
    await mirror.mirror(REPO, 'v1');
    world.clock.skip(61_000);
    await mirror.mirror(REPO, 'v1');
    expect(announced).toEqual([{ digest: IMAGE.digest, tags: ['v1'] }]);
  });

  it('says what is missing, and that an image that is here is complete while the upstream is down', async () => {
    expect(await mirror.mirror(REPO, 'none')).toMatchObject({ kind: 'incomplete' });
    await push('v1', IMAGE, CONFIG, LAYER);
    await mirror.mirror(REPO, 'v1');
    await central.stop();
    world.clock.skip(61_000);
    expect(await mirror.mirror(REPO, 'v1')).toMatchObject({ kind: 'complete' });
  });

  it('has nothing to do with channels and with names that come from nowhere', () => {
    expect(mirror.request({ name: REPO, kind: 'channel', channel: 'stable' })).toBeUndefined();
  });
});
