// The image part of the server as it is wired, over SQLite and real files: what is in use is neither collected nor deleted.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openImages } from '../../src/app-images.ts';
import { EventRecorder } from '../../src/events/event-recorder.ts';
import type { Digest } from '../../src/images/digest.ts';
import { SystemScheduler } from '../../src/platform/clock.ts';
import { loadConfiguration } from '../../src/settings/load-configuration.ts';
import { parseSettings } from '../../src/settings/parse-settings.ts';
import { openFileBlobStore } from '../../src/storage/files/file-blob-store.ts';
import { createSqlStores } from '../../src/storage/sql/create-sql-stores.ts';
import { openDatabase } from '../../src/storage/sql/open-database.ts';
import { aBootableImage } from '../support/conversion-world.ts';
import { aMac, aMachine, aMachineId, aSession, aSessionId } from '../support/domain-builders.ts';
import { anImageOf, pushBlobs, pushManifest, streamOf } from '../support/registry-world.ts';

const REPO = 'fleet/os';
const HASHES = { script: '1', artifacts: '2', seed: '3' };
const HOUR = 3_600_000;

let world: Awaited<ReturnType<typeof aServer>>;
afterEach(() => world.close());

describe('garbage collection in the server', () => {
  beforeEach(async () => {
    world = await aServer();
  });

  it('keeps what an open boot session boots until the session has ended', async () => {
    const digest = await world.push('image');
    await world.stores.sessions.insert(
      aSession({ id: aSessionId('b-1'), image: `${REPO}@${digest}`, expiresAt: world.clock.now() + 3 * HOUR }),
      HASHES,
    );
    await world.afterHours(2);
    expect(await world.isHere(digest)).toBe(true);
    expect(await world.images.registry.deleteManifest(REPO, digest)).toMatchObject({ code: 'DENIED' });
    await world.afterHours(1);
    expect(await world.isHere(digest)).toBe(false);
  });

  it('keeps what machines run, each of more machines than the settings allow now', async () => {
    const images = await Promise.all(['a', 'b', 'c'].map((text) => world.push(text)));
    for (const [index, digest] of images.entries())
      await world.stores.machines.insert(
        aMachine({
          id: aMachineId(`m-${index}`),
          macs: [aMac(index)],
          image: `${REPO}@${digest}`,
          // The one whose profile was taken away long ago is the last in every list.
          lastSeenAt: index,
        }),
      );
    await world.afterHours(2);
    expect(await Promise.all(images.map(world.isHere))).toEqual([true, true, true]);
  });

  it('keeps what a channel points to until it is removed', async () => {
    const digest = await world.push('image');
    const channel = { repository: REPO, channel: 'stable', by: 'eve', note: 'why' };
    await world.images.channels.promote({ ...channel, to: { name: REPO, kind: 'digest', digest } });
    await world.afterHours(2);
    expect(await world.isHere(digest)).toBe(true);
    await world.images.channels.remove(channel);
    await world.afterHours(0);
    expect(await world.isHere(digest)).toBe(false);
  });

  it('keeps what is to be converted, also when its tag went, and lets it go once that is through', async () => {
    const { config, layers, manifest } = aBootableImage();
    await pushBlobs(world.images.registry, REPO, config, ...layers);
    await pushManifest(world.images.registry, REPO, 'latest', manifest);
    await world.images.registry.deleteManifest(REPO, 'latest');
    await world.afterHours(2);
    expect(await world.isHere(manifest.digest)).toBe(true);
    world.images.conversions.start();
    await world.images.conversions.idle();
    expect(await world.images.conversions.find(REPO, manifest.digest)).toMatchObject({ state: 'ready' });
    await world.afterHours(2);
    expect(await world.isHere(manifest.digest)).toBe(false);
  });

  it('keeps what was made of an image in use, from deletion by its own digest too', async () => {
    const { config, layers, manifest } = aBootableImage();
    await pushBlobs(world.images.registry, REPO, config, ...layers);
    await pushManifest(world.images.registry, REPO, 'latest', manifest);
    world.images.conversions.start();
    await world.images.conversions.idle();
    await world.images.registry.deleteManifest(REPO, 'latest');
    await world.stores.machines.insert(aMachine({ image: `${REPO}@${manifest.digest}` }));
    await world.afterHours(2);
    const conversion = await world.images.conversions.find(REPO, manifest.digest);
    if (conversion?.state !== 'ready') throw new Error('the image was not converted');
    const { kernel, initrd, squashfs } = conversion.image;
    for (const part of [kernel, initrd, squashfs]) expect(await world.blobs.size(part.digest)).toBe(part.sizeBytes);
    expect(await world.images.registry.deleteManifest(REPO, conversion.manifest)).toMatchObject({ code: 'DENIED' });
  });

  it('keeps the boot loaders and lets go what nobody names', async () => {
    const digest = await world.push('image');
    await world.afterHours(2);
    expect(await world.isHere(digest)).toBe(false);
    expect(await world.blobs.size(LOADER.manifest.digest)).toBeDefined();
  });
});

describe('an image that a profile names', () => {
  it('by digest is kept, whatever tags and channels say', async () => {
    const digest = anImageOf('image').manifest.digest;
    world = await aServer(`${REPO}@${digest}`);
    await world.push('image');
    await world.afterHours(2);
    expect(await world.isHere(digest)).toBe(true);
  });

  it('by tag cannot be deleted by its digest; the tag itself can be taken away', async () => {
    world = await aServer(`${REPO}:v1`);
    const digest = await world.push('image', 'v1');
    world.images.conversions.start();
    await world.images.conversions.idle();
    expect(await world.images.registry.deleteManifest(REPO, digest)).toMatchObject({ code: 'DENIED' });
    expect(await world.images.registry.deleteManifest(REPO, 'v1')).toEqual({ kind: 'deleted' });
    expect(await world.images.registry.deleteManifest(REPO, digest)).toEqual({ kind: 'deleted' });
  });
});

const LOADER = anImageOf('a boot loader');

/** `profileImage`: what the only profile boots. Time passes by `afterHours`, at whose end garbage is collected. */
async function aServer(profileImage?: string) {
  const folder = await mkdtemp(join(tmpdir(), 'muster-in-use-'));
  const profilesDirectory = join(folder, 'profiles');
  await mkdir(profilesDirectory);
  if (profileImage !== undefined)
    await writeFile(join(profilesDirectory, 'lab.yaml'), `name: lab\nboot: { image: '${profileImage}' }\n`);
  const text = JSON.stringify({
    ...{ dataDirectory: folder, profilesDirectory, cloudConfigDirectory: join(folder, 'cloud-config') },
    limits: { machines: 1 },
  });
  let passed = 0;
  const clock = { now: () => Date.now() + passed };
  const scheduler = new SystemScheduler();
  const database = await openDatabase(join(folder, 'muster.db'));
  const stores = createSqlStores(database);
  const blobDirectory = join(folder, 'blobs');
  const blobs = await openFileBlobStore(blobDirectory);
  const failures: unknown[] = [];
  const onFailure = (error: unknown) => failures.push(error);
  const events = new EventRecorder({ log: stores.events, clock, scheduler, onFailure });
  const { digest, bytes } = LOADER.manifest;
  await blobs.put(digest, streamOf(bytes), 10_000);
  const settings = parseSettings({ name: 'muster.yaml', text }, {});
  const images = await openImages({
    settings,
    profiles: (await loadConfiguration(settings)).profiles,
    ...{ stores, blobs, blobDirectory, events, clock, scheduler },
    logger: pino({ level: 'silent' }),
    loaders: () => [{ digest }],
  });
  return {
    ...{ images, stores, blobs, clock },
    /** An image with the digest of `anImageOf(content)`, known by its digest alone where no tag is given. */
    push: async (content: string, tag?: string): Promise<Digest> => {
      const image = anImageOf(content);
      await pushBlobs(images.registry, REPO, ...image.blobs);
      const pushed = await pushManifest(images.registry, REPO, tag ?? image.manifest.digest, image.manifest);
      expect(pushed).toMatchObject({ kind: 'stored' });
      return image.manifest.digest;
    },
    isHere: async (image: Digest) => (await images.registry.getManifest(REPO, image)).kind === 'found',
    afterHours: async (hours: number) => {
      passed += hours * HOUR;
      await images.registry.collectGarbage();
    },
    close: async () => {
      await images.conversions.stop();
      await images.close();
      await events.flush();
      await database.destroy();
      await rm(folder, { recursive: true });
      expect(failures).toEqual([]);
    },
  };
}
