import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Digest } from '../../../../src/images/digest.ts';
import { NOON } from '../../../support/domain-builders.ts';
import { aContent, aDescriptor, aManifest, OCI_INDEX, type Content } from '../../../support/oci-layout.ts';
import {
  aMemoryRegistry,
  anImageOf,
  pushBlobs,
  pushManifest,
  streamOf,
  type RegistryWorld,
} from '../../../support/registry-world.ts';

const REPO = 'fleet/os';
const HOUR = 3_600_000;
const IMAGE = anImageOf('one');

interface TimedWorld extends RegistryWorld {
  /** Lets time pass. */
  readonly wait: (milliseconds: number) => void;
}

function aTimedRegistry(): TimedWorld {
  let now = NOON;
  const world = aMemoryRegistry({ now: () => now });
  return { ...world, wait: (milliseconds) => (now += milliseconds) };
}

async function pushImage(
  { registry }: RegistryWorld,
  reference: string,
  image = IMAGE,
  repository = REPO,
): Promise<void> {
  await pushBlobs(registry, repository, ...image.blobs);
  const stored = await pushManifest(registry, repository, reference, image.manifest);
  if (stored.kind === 'refused') throw new Error(stored.message);
}

async function storedIn({ blobs }: RegistryWorld): Promise<Set<Digest>> {
  const digests = new Set<Digest>();
  for await (const { digest } of blobs.list()) digests.add(digest);
  return digests;
}

const digestsOf = (image = IMAGE): Digest[] => [...image.blobs, image.manifest].map(({ digest }) => digest);

describe('collectGarbage', () => {
  it('removes what was pushed and never named, after an hour and not before', async () => {
    const world = aTimedRegistry();
    await pushImage(world, IMAGE.manifest.digest);
    world.wait(HOUR - 1);
    expect(await world.registry.collectGarbage()).toEqual({ digests: [], sizeBytes: 0, staleUploads: 0 });
    world.wait(1);
    const report = await world.registry.collectGarbage();
    expect(new Set(report.digests)).toEqual(new Set(digestsOf()));
    expect(report.sizeBytes).toBe([...IMAGE.blobs, IMAGE.manifest].reduce((sum, { bytes }) => sum + bytes.length, 0));
    expect(await storedIn(world)).toEqual(new Set());
    expect(await world.registry.getManifest(REPO, IMAGE.manifest.digest)).toMatchObject({ code: 'NAME_UNKNOWN' });
    expect(await world.registry.getBlob(REPO, IMAGE.blobs[0]!.digest)).toMatchObject({ code: 'BLOB_UNKNOWN' });
  });

  it('keeps what a tag names, and what shares its blobs keeps nothing else', async () => {
    const world = aTimedRegistry();
    const [config] = IMAGE.blobs as [Content, Content];
    const layer = aContent('another layer');
    await pushImage(world, 'latest');
    const other = { blobs: [config, layer], manifest: aManifest(config, [layer]) };
    await pushImage(world, other.manifest.digest, other);
    world.wait(HOUR);
    expect(new Set((await world.registry.collectGarbage()).digests)).toEqual(
      new Set([layer.digest, other.manifest.digest]),
    );
    expect(await storedIn(world)).toEqual(new Set(digestsOf()));
  });

  it('keeps what is pinned, in the registry or not', async () => {
    const world = aTimedRegistry();
    const loader = aContent('ipxe.efi');
    await world.blobs.put(loader.digest, streamOf(loader.bytes), 100);
    await pushImage(world, IMAGE.manifest.digest);
    for (const digest of [loader.digest, IMAGE.manifest.digest]) world.pinned.add(digest);
    world.wait(HOUR);
    expect((await world.registry.collectGarbage()).digests).toEqual([]);
    world.pinned.clear();
    expect((await world.registry.collectGarbage()).digests).toHaveLength(4);
  });

  it('keeps the signature of a kept image, and lets it go with the image', async () => {
    const world = aTimedRegistry();
    const [config, layer] = IMAGE.blobs as [Content, Content];
    const signature = aManifest(config, [layer], { subject: aDescriptor(IMAGE.manifest) });
    await pushImage(world, 'latest');
    await pushManifest(world.registry, REPO, signature.digest, signature);
    world.wait(HOUR);
    expect((await world.registry.collectGarbage()).digests).toEqual([]);
    await world.registry.deleteManifest(REPO, 'latest');
    expect((await world.registry.collectGarbage()).digests).toContain(signature.digest);
  });

  it('leaves whoever pulls an image the grace period after its tag moved on', async () => {
    const world = aTimedRegistry();
    await pushImage(world, 'latest');
    world.wait(2 * HOUR);
    await pushImage(world, 'latest', anImageOf('two'));
    world.wait(HOUR - 1);
    expect((await world.registry.collectGarbage()).digests).toEqual([]);
    world.wait(1);
    expect(new Set((await world.registry.collectGarbage()).digests)).toEqual(new Set(digestsOf()));
  });

  it('gives a pusher who was told that a blob is there (HEAD, mount) the grace period to push its manifest', async () => {
    const world = aTimedRegistry();
    await pushBlobs(world.registry, REPO, ...IMAGE.blobs);
    const [config, layer] = IMAGE.blobs as [Content, Content];
    world.wait(HOUR - 1);
    await world.registry.headBlob(REPO, config.digest);
    await world.registry.startUpload({ repository: 'other', mount: layer.digest, from: REPO });
    world.wait(HOUR - 1);
    expect((await world.registry.collectGarbage()).digests).toEqual([]);
  });

  it('removes bytes that an interrupted push or collection left without a record', async () => {
    const world = aTimedRegistry();
    await pushImage(world, 'latest');
    await pushImage(world, 'old', anImageOf('old'));
    await world.store.forget(digestsOf(anImageOf('old')));
    world.wait(HOUR + 1);
    expect((await world.registry.collectGarbage()).digests).toHaveLength(3);
    expect(await storedIn(world)).toEqual(new Set(digestsOf()));
  });

  it('says what it would do without doing it', async () => {
    const world = aTimedRegistry();
    await pushImage(world, IMAGE.manifest.digest);
    const orphan = aContent('orphan');
    await world.blobs.put(orphan.digest, streamOf(orphan.bytes), 100);
    await world.registry.startUpload({ repository: REPO });
    world.wait(48 * HOUR);
    const announced = await world.registry.collectGarbage({ dryRun: true });
    expect(announced.digests).toHaveLength(4);
    expect(await storedIn(world)).toHaveLength(4);
    expect(await world.registry.collectGarbage()).toEqual({ ...announced, staleUploads: 1 });
  });

  it('removes uploads that nobody went on with for a day', async () => {
    const world = aTimedRegistry();
    await world.registry.startUpload({ repository: REPO });
    world.wait(24 * HOUR);
    expect((await world.registry.collectGarbage()).staleUploads).toBe(0);
    world.wait(1);
    expect((await world.registry.collectGarbage()).staleUploads).toBe(1);
  });

  it('does not take from a push what the push has found', async () => {
    const world = aTimedRegistry();
    await pushImage(world, IMAGE.manifest.digest);
    world.wait(HOUR);
    const [stored, report] = await Promise.all([
      pushManifest(world.registry, REPO, 'latest', IMAGE.manifest),
      world.registry.collectGarbage(),
    ]);
    if (stored.kind === 'stored') expect(report.digests).toEqual([]);
    else expect(report.digests).toHaveLength(3);
  });

  it('waits while somebody looks something up to pin it', async () => {
    const world = aTimedRegistry();
    await pushImage(world, IMAGE.manifest.digest);
    world.wait(HOUR);
    const held = world.registry.holdCollection(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      world.pinned.add((await world.store.findManifest(REPO, IMAGE.manifest.digest))!.digest);
    });
    expect((await world.registry.collectGarbage()).digests).toEqual([]);
    await held;
  });
});

/** Manifests refer to blobs and to manifests before them; some are tagged, some are referrers, some repositories share. */
const graph = fc.array(
  fc.record({
    repository: fc.constantFrom('a', 'b'),
    blobs: fc.uniqueArray(fc.nat({ max: 7 }), { minLength: 1, maxLength: 3 }),
    children: fc.uniqueArray(fc.nat({ max: 9 }), { maxLength: 2 }),
    subject: fc.option(fc.nat({ max: 9 }), { nil: undefined }),
    isTagged: fc.boolean(),
    isPinned: fc.boolean(),
    isDeleted: fc.boolean(),
    isRecent: fc.boolean(),
  }),
  { maxLength: 10 },
);

const BLOBS = Array.from({ length: 8 }, (_, number) => aContent(`blob ${number}`));

describe('collectGarbage on any registry', () => {
  it('leaves all that can be reached from what must stay, and nothing else that is old', async () => {
    const property = fc.asyncProperty(graph, async (nodes) => {
      const world = aTimedRegistry();
      const pushed: { content: Content; repository: string; needs: Digest[]; subject?: Digest; isRoot: boolean }[] = [];
      const ordered = nodes.toSorted((a, b) => Number(a.isRecent) - Number(b.isRecent));
      let isLater = false;
      for (const [number, node] of ordered.entries()) {
        if (node.isRecent && !isLater) world.wait(HOUR);
        isLater ||= node.isRecent;
        const earlier = pushed.filter(({ repository }) => repository === node.repository).map(({ content }) => content);
        const children = node.children.flatMap((child) => earlier[child] ?? []);
        const blobs = node.blobs.flatMap((blob) => BLOBS[blob] ?? []);
        const subject = node.subject === undefined ? undefined : earlier[node.subject];
        const common = { annotations: { number: String(number) }, ...(subject && { subject: aDescriptor(subject) }) };
        const [config, ...layers] = blobs as [Content, ...Content[]];
        const isIndex = children.length > 0;
        const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: children.map(aDescriptor), ...common };
        const content = isIndex ? aContent(JSON.stringify(index), OCI_INDEX) : aManifest(config, layers, common);
        if (!isIndex) await pushBlobs(world.registry, node.repository, ...blobs);
        const reference = node.isTagged ? `tag-${number}` : content.digest;
        expect(await pushManifest(world.registry, node.repository, reference, content)).toMatchObject({
          kind: 'stored',
        });
        if (node.isPinned) world.pinned.add(content.digest);
        if (node.isTagged && node.isDeleted) await world.registry.deleteManifest(node.repository, reference);
        pushed.push({
          content,
          repository: node.repository,
          needs: (isIndex ? children : blobs).map(({ digest }) => digest),
          ...(subject && { subject: subject.digest }),
          isRoot: (node.isTagged && !node.isDeleted) || node.isPinned || node.isRecent,
        });
      }
      if (!isLater) world.wait(HOUR);

      await world.registry.collectGarbage({ graceMs: HOUR - 1 });
      const expected = new Set(pushed.filter(({ isRoot }) => isRoot).map(({ content }) => content.digest));
      for (const [number, node] of ordered.entries()) {
        if (node.isRecent) for (const needed of pushed[number]!.needs) expected.add(needed);
      }
      for (let size = -1; size !== expected.size;) {
        size = expected.size;
        for (const { content, needs, subject } of pushed) {
          if (subject !== undefined && expected.has(subject)) expected.add(content.digest);
          if (expected.has(content.digest)) for (const needed of needs) expected.add(needed);
        }
      }
      expect(await storedIn(world)).toEqual(expected);
      for (const { content, repository, needs } of pushed.filter((each) => expected.has(each.content.digest))) {
        expect(await world.registry.getManifest(repository, content.digest)).toMatchObject({ bytes: content.bytes });
        expect(needs.every((needed) => expected.has(needed))).toBe(true);
      }
      expect((await world.registry.collectGarbage({ graceMs: HOUR - 1 })).digests).toEqual([]);
    });
    await fc.assert(property, { numRuns: 150 });
  });
});
