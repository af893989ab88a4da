import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Conversion } from '../../../src/images/conversion/conversion.ts';
import type { Digest } from '../../../src/images/digest.ts';
import { ImageCatalogue } from '../../../src/images/image-catalogue.ts';
import type { ManifestRecord } from '../../../src/images/registry/registry-store.ts';
import type { TrustDecision } from '../../../src/images/trust/trust-policy.ts';
import { createMemoryStores } from '../../../src/storage/memory/create-memory-stores.ts';
import { MemoryBlobStore } from '../../../src/storage/memory/memory-blob-store.ts';
import { aConversion, anImage, NOON } from '../../support/domain-builders.ts';
import {
  aContent,
  aDescriptor,
  aManifest,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  type Content,
} from '../../support/oci-layout.ts';

async function aWorld() {
  const stores = createMemoryStores();
  const blobs = new MemoryBlobStore();
  const decisions: unknown[][] = [];
  const trust = {
    decision: { kind: 'trusted' } as TrustDecision,
    decide: (...asked: unknown[]) => {
      decisions.push(asked);
      return Promise.resolve(trust.decision);
    },
  };
  const conversions = {
    find: (repository: string, digest: Digest) => stores.conversions.find(repository, digest),
    list: (repository?: string) => stores.conversions.list(repository),
    progress: ({ digest }: { digest: Digest }) =>
      digest === image.digest ? ({ phase: 'packing', doneBytes: 20, totalBytes: 100 } as const) : undefined,
    request: async (record: ManifestRecord) => {
      const known = await stores.conversions.find(record.repository, record.digest);
      const queued = aConversion({ repository: record.repository, digest: record.digest });
      if (known === undefined) await stores.conversions.put(queued);
      return known ?? queued;
    },
  };
  const platform = { os: 'linux', architecture: 'amd64' };
  const catalogue = new ImageCatalogue({
    ...{ blobs, conversions, trust, platform, store: stores.registry, channels: stores.channels },
  });
  const put = async (manifest: Content, tags: readonly string[]) => {
    await blobs.put(manifest.digest, Readable.from([manifest.bytes]), 1e6);
    const { digest, mediaType, bytes } = manifest;
    const rest = { repository: 'fleet/os', annotations: {}, references: [], createdAt: NOON };
    await stores.registry.putManifest({ ...rest, digest, mediaType, sizeBytes: bytes.length }, tags);
  };
  const promote = () =>
    stores.channels.append({
      ...{ repository: 'fleet/os', channel: 'stable', number: 1, kind: 'promoted', digest: image.digest, release: 1 },
      ...{ reference: 'fleet/os:v1', by: 'admin', note: '', at: NOON },
    });
  const image = aManifest(aContent('{}', OCI_CONFIG), [aContent('layer', OCI_LAYER)]);
  await put(image, ['latest', 'v1']);
  const converted = (state: Partial<Conversion>) =>
    stores.conversions.put(aConversion({ repository: 'fleet/os', digest: image.digest, ...state }));
  return { stores, catalogue, trust, decisions, put, promote, image, converted };
}

const READY = { state: 'ready', image: anImage({ name: 'fleet/os' }), manifest: aContent('boot').digest } as const;

describe('ImageCatalogue.resolve', () => {
  it.each(['fleet/os', 'fleet/os:v1', 'DIGEST', 'fleet/os@stable'])('leads from %s to a pinned image', async (name) => {
    const { catalogue, converted, promote, image } = await aWorld();
    await converted(READY);
    await promote();
    expect(await catalogue.resolve(name.replace('DIGEST', `fleet/os@${image.digest}`))).toEqual({
      kind: 'image',
      image: READY.image,
      reference: `fleet/os@${image.digest}`,
    });
    expect(await catalogue.pinned(`fleet/os@${image.digest}`)).toEqual(READY.image);
  });

  it.each([
    [{ state: 'queued' }, 'image fleet/os waits for its conversion'],
    [{ state: 'converting' }, 'image fleet/os is being converted (43 %)'],
    [{ state: 'refused', refusal: { code: 'no-kernel', detail: '…' } }, 'image fleet/os was refused: no-kernel'],
  ] as const)('says why an image cannot be booted yet: %j', async (state, reason) => {
    const { catalogue, converted, image } = await aWorld();
    await converted(state);
    expect(await catalogue.resolve('fleet/os')).toMatchObject({ kind: 'none', reason });
    expect(await catalogue.pinned(`fleet/os@${image.digest}`)).toBeUndefined();
  });

  it.each([
    ['fleet/os:v9', 'image fleet/os:v9 is not in the store', 'muster images import SOURCE --name fleet/os:v9'],
    ['fleet/os@beta', 'channel fleet/os@beta points to no image', 'muster images import SOURCE --name fleet/os'],
    ['Not A Name', 'Not A Name is not the name of an image', 'muster images list'],
  ])('says of %s what there is not', async (name, reason, hint) => {
    const { catalogue } = await aWorld();
    expect(await catalogue.resolve(name)).toEqual({ kind: 'none', reason, hint });
  });

  it('asks the policy for the manifest that the name led to, with the channel, and refuses as it says', async () => {
    const { catalogue, converted, promote, trust, decisions, image } = await aWorld();
    await converted(READY);
    await promote();
    trust.decision = { kind: 'refused', reason: 'it has no signature' };
    expect(await catalogue.resolve('fleet/os')).toMatchObject({
      kind: 'none',
      reason: 'image fleet/os is refused: it has no signature',
      hint: `muster images sign fleet/os@${image.digest}`,
    });
    await catalogue.resolve('fleet/os@stable');
    expect(decisions).toEqual([
      ['fleet/os', image.digest, undefined],
      ['fleet/os', image.digest, 'stable'],
    ]);
  });

  it('goes from an index to the image of the platform, while the policy is asked for the index', async () => {
    const { catalogue, converted, put, image, decisions } = await aWorld();
    await converted(READY);
    const indexOf = (architecture: string) => {
      const manifests = [{ ...aDescriptor(image), platform: { os: 'linux', architecture } }];
      return aContent(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }), OCI_INDEX);
    };
    await put(indexOf('amd64'), ['multi']);
    await put(indexOf('s390x'), ['mainframe']);
    expect(await catalogue.resolve('fleet/os:multi')).toMatchObject({
      kind: 'image',
      reference: `fleet/os@${image.digest}`,
    });
    expect(decisions).toEqual([['fleet/os', indexOf('amd64').digest, undefined]]);
    expect(await catalogue.resolve('fleet/os:mainframe')).toMatchObject({
      kind: 'none',
      reason: 'image fleet/os:mainframe was refused: no-platform, it has nothing for linux/amd64',
    });
  });
});

describe('ImageCatalogue.list', () => {
  it('shows each manifest once, with all its names and how far it is', async () => {
    const { catalogue, converted, image } = await aWorld();
    expect(await catalogue.isEmpty()).toBe(true);
    await converted({ state: 'converting' });
    expect(await catalogue.isEmpty()).toBe(false);
    expect(await catalogue.list()).toEqual([
      {
        reference: `fleet/os@${image.digest}`,
        ...{ name: 'fleet/os', digest: image.digest, createdAt: NOON, tags: ['latest', 'v1'], channels: [] },
        ...{ state: 'converting', percent: 43 },
      },
    ]);
    expect(await catalogue.list('other')).toEqual([]);
  });

  it('shows an image that lost its last tag, as long as it is there', async () => {
    const { catalogue, converted, stores, image } = await aWorld();
    await converted(READY);
    for (const tag of ['latest', 'v1']) await stores.registry.deleteTag('fleet/os', tag);
    expect(await catalogue.list()).toMatchObject([{ tags: [], state: 'ready' }]);
    await stores.registry.deleteManifest('fleet/os', image.digest);
    expect([await catalogue.list(), await catalogue.isEmpty()]).toEqual([[], true]);
  });
});
