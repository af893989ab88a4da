import { beforeEach, describe, expect, it } from 'vitest';
import { ChannelService } from '../../../../src/images/channels/channel-service.ts';
import type { ChannelStore } from '../../../../src/images/channels/channel-store.ts';
import type { Digest } from '../../../../src/images/digest.ts';
import { RegistryService } from '../../../../src/images/registry/registry-service.ts';
import type { RegistryStore } from '../../../../src/images/registry/registry-store.ts';
import type { TrustPolicy } from '../../../../src/images/trust/trust-policy.ts';
import { digestBytes } from '../../../../src/storage/digest-bytes.ts';
import { MemoryBlobStore } from '../../../../src/storage/memory/memory-blob-store.ts';
import { MemoryChannelStore } from '../../../../src/storage/memory/memory-channel-store.ts';
import { MemoryRegistryStore } from '../../../../src/storage/memory/memory-registry-store.ts';
import { MemoryUploadStore } from '../../../../src/storage/memory/memory-upload-store.ts';
import { NOON } from '../../../support/domain-builders.ts';
import { anImageOf, pushBlobs, pushManifest } from '../../../support/registry-world.ts';

const REPO = 'fleet/os';
const FIRST = anImageOf('first');
const SECOND = anImageOf('second');
/** More turns than a promotion or a collection takes. */
const TURNS = 40;

type Image = typeof FIRST;
type World = Awaited<ReturnType<typeof aWorld>>;

describe('a promotion beside garbage collection', () => {
  let world: World;
  beforeEach(async () => {
    world = await aWorld();
  });

  it('does not point the channel to what was collected while its signatures were read', async () => {
    world.duringTrust = () => world.collect();
    expect(await world.promote(FIRST)).toMatchObject({
      kind: 'not-found',
      reason: `the image ${REPO}@${FIRST.manifest.digest} is not in the registry`,
    });
    expect(await world.channelStore.list()).toEqual([]);
    expect(world.events).toEqual([]);
    expect(await world.isWhole(FIRST)).toBe(false);
  });

  it('keeps collection out between the last look at the image and the move that pins it', async () => {
    let collection: Promise<readonly Digest[]> | undefined;
    world.duringAppend = async () => {
      collection = world.collect();
      await turns(TURNS);
    };
    expect(await world.promote(FIRST)).toMatchObject({ kind: 'moved' });
    expect(await collection).toEqual(expect.not.arrayContaining([FIRST.manifest.digest]));
    expect(await world.isWhole(FIRST)).toBe(true);
  });

  it('ends with the whole image or without a move, whenever collection begins', async () => {
    const kinds = new Set<string>();
    for (let delay = 0; delay < TURNS; delay += 1) {
      const each = await aWorld();
      each.duringTrust = () => turns(5);
      each.duringAppend = () => turns(5);
      const [outcome] = await Promise.all([each.promote(FIRST), turns(delay).then(() => each.collect())]);
      kinds.add(outcome.kind);
      expect([delay, await each.isWhole(FIRST)]).toEqual([delay, outcome.kind === 'moved']);
      expect(await each.channelStore.list()).toHaveLength(outcome.kind === 'moved' ? 1 : 0);
    }
    expect(kinds).toEqual(new Set(['moved', 'not-found']));
  });
});

describe('a removed channel', () => {
  it('pins neither what it pointed to nor what its rollback would have brought back', async () => {
    const world = await aWorld();
    await world.promote(FIRST);
    await world.promote(SECOND);
    expect(await world.collect()).toEqual([]);
    await world.service.remove({ repository: REPO, channel: 'stable', by: 'eve', note: 'over' });
    expect(await world.collect()).toHaveLength(6);
    expect(await Promise.all([FIRST, SECOND].map((image) => world.isWhole(image)))).toEqual([false, false]);
    expect(await world.promote(FIRST)).toMatchObject({ kind: 'not-found' });
  });
});

/** A registry with two images that no tag names, old enough to be collected; only channels pin. */
async function aWorld() {
  const hooks = { duringTrust: () => Promise.resolve<unknown>(undefined), duringAppend: () => turns(0) };
  let now = NOON;
  const clock = { now: () => now };
  const store: RegistryStore = new MemoryRegistryStore();
  const blobs = new MemoryBlobStore(clock.now);
  const channelStore = new MemoryChannelStore();
  const registry = new RegistryService({
    ...{ store, blobs, clock, digestBytes },
    uploads: new MemoryUploadStore({ blobs, clock }),
    pinned: () => channelStore.pinned(),
    limits: { blobBytes: 1_000_000 },
  });
  for (const { blobs: contents, manifest } of [FIRST, SECOND]) {
    await pushBlobs(registry, REPO, ...contents);
    await pushManifest(registry, REPO, manifest.digest, manifest);
  }
  now += 2 * 3_600_000;
  const slowly: ChannelStore = {
    find: (...words) => channelStore.find(...words),
    list: (...words) => channelStore.list(...words),
    history: (...words) => channelStore.history(...words),
    pinned: () => channelStore.pinned(),
    append: async (move) => {
      await world.duringAppend();
      return channelStore.append(move);
    },
  };
  const trust: TrustPolicy = {
    decide: async () => {
      await world.duringTrust();
      return { kind: 'trusted' };
    },
  };
  const events: unknown[] = [];
  const recordNow = (event: unknown) => Promise.resolve(void events.push(event));
  const service = new ChannelService({
    ...{ registry: store, collection: registry, trust, clock },
    store: slowly,
    events: { recordNow },
  });
  const promote = ({ manifest: { digest } }: Image) => {
    const to = { name: REPO, kind: 'digest', digest } as const;
    return service.promote({ repository: REPO, channel: 'stable', to, by: 'eve', note: 'why' });
  };
  const collect = async () => (await registry.collectGarbage()).digests;
  const isWhole = async ({ blobs: contents, manifest }: Image): Promise<boolean> => {
    const found = await registry.getManifest(REPO, manifest.digest);
    const sizes = await Promise.all(contents.map(({ digest }) => blobs.size(digest)));
    return found.kind === 'found' && sizes.every((size) => size !== undefined);
  };
  const world = Object.assign(hooks, { service, channelStore, events, promote, collect, isWhole });
  return world;
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
