// The cache beside an upstream that takes its time. What it does with bytes is in test/integration/upstream-cache.test.ts.
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { RegistryService } from '../../../../src/images/registry/registry-service.ts';
import { UpstreamCache, type UpstreamReport } from '../../../../src/images/upstream/upstream-cache.ts';
import {
  routeUpstream,
  type UpstreamAnswer,
  type UpstreamRegistry,
} from '../../../../src/images/upstream/upstream-registry.ts';
import { ExpiringMap } from '../../../../src/images/upstream/upstream-state.ts';
import { digestBytes } from '../../../../src/storage/digest-bytes.ts';
import { MemoryBlobStore } from '../../../../src/storage/memory/memory-blob-store.ts';
import { MemoryRegistryStore } from '../../../../src/storage/memory/memory-registry-store.ts';
import { MemoryUploadStore } from '../../../../src/storage/memory/memory-upload-store.ts';
import { aContent, aManifest, OCI_CONFIG, OCI_LAYER } from '../../../support/oci-layout.ts';

const REPO = 'fleet/os';
const LAYER = aContent('layer', OCI_LAYER);
const IMAGE = aManifest(aContent('{}', OCI_CONFIG), [LAYER]);
const NOTHING = Promise.resolve({ kind: 'not-found' } as const);
const FOUND = { kind: 'found', digest: IMAGE.digest, mediaType: IMAGE.mediaType, content: IMAGE.bytes } as const;

/** Answers when the test says so. */
function aWorld(answers: Partial<UpstreamRegistry> = {}) {
  const time = { now: () => 1_000_000 };
  const due: { milliseconds: number; action: () => void }[] = [];
  const scheduler = {
    after: (milliseconds: number, action: () => void) => {
      due.push({ milliseconds, action });
      return () => undefined;
    },
  };
  const blobs = new MemoryBlobStore();
  const registry = new RegistryService({
    ...{ blobs, digestBytes, clock: time },
    store: new MemoryRegistryStore(),
    uploads: new MemoryUploadStore({ blobs, clock: time }),
    pinned: () => Promise.resolve(new Set()),
    limits: { blobBytes: 1_000_000 },
  });
  const upstream: UpstreamRegistry = {
    name: 'central',
    resolve: () => NOTHING,
    manifest: () => NOTHING,
    blob: () => NOTHING,
    referrers: () => NOTHING,
    ...answers,
  };
  const reports: UpstreamReport[] = [];
  const cache = new UpstreamCache({
    ...{ registry, scheduler, clock: time },
    upstreams: [{ prefix: '', registry: upstream }],
    onReport: (report) => reports.push(report),
  });
  const passTime = async (milliseconds: number): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    for (const one of due) if (one.milliseconds <= milliseconds) one.action();
  };
  return { cache, registry, reports, time, passTime };
}

describe('UpstreamCache', () => {
  it('tells whoever waits for a large blob to ask again, while the fetch goes on', async () => {
    const content = new Readable({ read: () => undefined });
    const { cache, passTime } = aWorld({
      blob: () => Promise.resolve({ kind: 'found', sizeBytes: LAYER.bytes.length, content }),
    });
    const first = cache.getBlob(REPO, LAYER.digest);
    await passTime(90_000);
    expect(await first).toMatchObject({ kind: 'refused', code: 'TOOMANYREQUESTS' });
    const second = cache.getBlob(REPO, LAYER.digest);
    content.push(LAYER.bytes);
    content.push(null);
    expect(await second).toMatchObject({ kind: 'found', digest: LAYER.digest });
  });

  it('serves the tag that it has when the look-up takes too long', async () => {
    const late = Promise.withResolvers<UpstreamAnswer<{ readonly digest: undefined }>>();
    const { cache, time, passTime } = aWorld({ manifest: () => Promise.resolve(FOUND), resolve: () => late.promise });
    expect(await cache.getManifest(REPO, 'v1')).toMatchObject({ kind: 'found' });
    time.now = () => 1_000_000 + 61_000;
    const answer = cache.getManifest(REPO, 'v1');
    await passTime(3_000);
    expect(await answer).toMatchObject({ kind: 'found', record: { digest: IMAGE.digest } });
    late.resolve({ kind: 'not-found' });
  });

  it('does not call an upstream down that is only busy', async () => {
    let failure: { kind: 'failed'; reason: string; text: string } | undefined = {
      kind: 'failed',
      reason: 'busy',
      text: '',
    };
    const { cache } = aWorld({ manifest: () => Promise.resolve(failure ?? FOUND) });
    expect(await cache.getManifest(REPO, 'v1')).toMatchObject({ kind: 'refused' });
    failure = undefined;
    expect(await cache.getManifest(REPO, 'v1')).toMatchObject({ kind: 'found' });
  });

  it('says what stands in the way', async () => {
    const failure = { kind: 'failed', reason: 'untrusted', text: 'central shows a certificate.' } as const;
    const { cache, reports } = aWorld({ manifest: () => Promise.resolve(failure) });
    expect(await cache.getManifest(REPO, 'v1')).toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('(untrusted): central shows a certificate.') as string,
    });
    expect(reports).toEqual([
      expect.objectContaining({
        kind: 'failed',
        upstream: 'central',
        repository: REPO,
        reference: 'v1',
        reason: 'untrusted',
      }),
    ]);
  });

  it('hears of a store that fails', async () => {
    const content = Readable.from([LAYER.bytes]);
    const { cache, registry } = aWorld({
      blob: () => Promise.resolve({ kind: 'found', sizeBytes: LAYER.bytes.length, content }),
    });
    registry.appendUpload = () => Promise.reject(new Error('the disk is full'));
    await expect(cache.getBlob(REPO, LAYER.digest)).rejects.toThrow('the disk is full');
  });
});

describe('routeUpstream', () => {
  const registry = { name: 'x' } as UpstreamRegistry;
  const upstreams = ['', 'hub', 'hub/deep'].map((prefix) => ({ prefix, registry }));
  it.each([
    ['fleet/os', 'fleet/os'],
    ['hub/os', 'os'],
    ['hub/deep/os', 'os'],
    ['hubble/os', 'hubble/os'],
    ['hub', 'hub'],
  ])('%s is %s there', (repository, name) => {
    expect(routeUpstream(upstreams, repository)?.name).toBe(name);
  });

  it('gives nothing where no prefix fits', () => {
    expect(routeUpstream([{ prefix: 'hub', registry }], 'fleet/os')).toBeUndefined();
  });
});

describe('ExpiringMap', () => {
  it('forgets in time, and the oldest where there are too many', () => {
    const clock = { time: 0, now: () => clock.time };
    const map = new ExpiringMap<number>(clock);
    for (let entry = 0; entry <= 10_000; entry += 1) map.set(String(entry), entry, 1000);
    expect([map.get('0'), map.get('1')]).toEqual([undefined, 1]);
    clock.time = 1000;
    expect(map.get('1')).toBeUndefined();
  });
});
