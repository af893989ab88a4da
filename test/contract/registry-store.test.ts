import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Digest } from '../../src/images/digest.ts';
import type { ManifestRecord, RegistryStore } from '../../src/images/registry/registry-store.ts';
import { aDigest, NOON } from '../support/domain-builders.ts';
import { STORE_ADAPTERS, storesOf } from './store-adapters.ts';

const NONE: ReadonlySet<Digest> = new Set();
const MANIFEST = aDigest('1');

function aRecord(overrides: Partial<ManifestRecord> = {}): ManifestRecord {
  return {
    repository: 'fleet/os',
    digest: MANIFEST,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    sizeBytes: 500,
    annotations: {},
    references: [],
    createdAt: NOON,
    ...overrides,
  };
}

describe.each(STORE_ADAPTERS)('RegistryStore ($name)', (adapter) => {
  const open = storesOf(adapter);
  let registry: RegistryStore;
  beforeEach(() => {
    ({ registry } = open().stores);
  });
  const kept = async (since = NOON, pinned = NONE): Promise<string> =>
    [...(await registry.keptDigests(since, pinned))]
      .map((digest) => digest.at(-1))
      .toSorted()
      .join('');

  describe('manifests', () => {
    it('gives back every property, with the references in their order and as often as they are named', async () => {
      const record = aRecord({
        artifactType: 'application/vnd.example',
        subject: aDigest('2'),
        annotations: { 'org.opencontainers.image.title': 'os' },
        references: [aDigest('c'), aDigest('a'), aDigest('c'), aDigest('b')],
      });
      await registry.putManifest(record, []);
      expect(await registry.findManifest('fleet/os', MANIFEST)).toEqual(record);
      expect(await registry.findManifest('fleet', MANIFEST)).toBeUndefined();
      expect(await registry.findManifest('fleet/os', aDigest('2'))).toBeUndefined();
    });

    it('keeps the time of the first put', async () => {
      await registry.putManifest(aRecord({ references: [aDigest('a')] }), []);
      await registry.putManifest(aRecord({ references: [aDigest('a')], createdAt: NOON + 1 }), ['again']);
      expect(await registry.findManifest('fleet/os', MANIFEST)).toEqual(aRecord({ references: [aDigest('a')] }));
    });

    it('takes thousands of references', async () => {
      const references = Array.from({ length: 3000 }, (_, at) => aDigest((at % 16).toString(16)));
      await registry.putManifest(aRecord({ references }), []);
      expect((await registry.findManifest('fleet/os', MANIFEST))?.references).toEqual(references);
    });

    it('removes one with its tags, and says whether there was one', async () => {
      await registry.putManifest(aRecord({ references: [aDigest('a')] }), ['latest', 'v1']);
      await registry.putManifest(aRecord({ digest: aDigest('2') }), ['v2']);
      expect(await registry.deleteManifest('fleet/os', MANIFEST)).toBe(true);
      expect(await registry.deleteManifest('fleet/os', MANIFEST)).toBe(false);
      expect(await registry.listTags('fleet/os', { limit: 10 })).toEqual(['v2']);
      expect(await registry.isReferenced('fleet/os', aDigest('a'))).toBe(false);
    });

    it('knows which digests manifests of a repository refer to', async () => {
      await registry.putManifest(aRecord({ references: [aDigest('a')], subject: aDigest('b') }), []);
      expect(await registry.isReferenced('fleet/os', aDigest('a'))).toBe(true);
      expect(await registry.isReferenced('fleet/os', aDigest('b'))).toBe(false);
      expect(await registry.isReferenced('fleet', aDigest('a'))).toBe(false);
    });
  });

  describe('tags', () => {
    it('name the manifest that was put with them last', async () => {
      await registry.putManifest(aRecord(), ['latest', 'v1']);
      await registry.putManifest(aRecord({ digest: aDigest('2') }), ['latest']);
      expect(await registry.resolveTag('fleet/os', 'latest')).toBe(aDigest('2'));
      expect(await registry.resolveTag('fleet/os', 'v1')).toBe(MANIFEST);
      expect(await registry.resolveTag('fleet', 'latest')).toBeUndefined();
    });

    it('are listed in lexical order, those after a name and up to a number (distribution-spec "Listing Tags")', async () => {
      await registry.putManifest(aRecord(), ['b', 'a', '_1', 'B', '10', '9', 'a.1', 'a-1']);
      const all = ['10', '9', 'B', '_1', 'a', 'a-1', 'a.1', 'b'];
      expect(await registry.listTags('fleet/os', { limit: 100 })).toEqual(all);
      expect(await registry.listTags('fleet/os', { after: 'B', limit: 2 })).toEqual(['_1', 'a']);
      expect(await registry.listTags('fleet/os', { after: 'between', limit: 2 })).toEqual([]);
      expect(await registry.listTags('fleet/os', { limit: 0 })).toEqual([]);
      expect(await registry.listTags('other', { limit: 100 })).toEqual([]);
    });

    it('can be taken away, and the manifest stays', async () => {
      await registry.putManifest(aRecord(), ['latest']);
      expect(await registry.deleteTag('fleet/os', 'latest')).toBe(true);
      expect(await registry.deleteTag('fleet/os', 'latest')).toBe(false);
      expect(await registry.findManifest('fleet/os', MANIFEST)).toEqual(aRecord());
    });
  });

  describe('repositories', () => {
    it('are those that have a manifest or a blob, in lexical order', async () => {
      await registry.putManifest(aRecord({ repository: 'b' }), []);
      await registry.linkBlob('a/c', aDigest('a'), NOON);
      await registry.linkBlob('b', aDigest('a'), NOON);
      await registry.linkBlob('gone', aDigest('a'), NOON);
      await registry.unlinkBlob('gone', aDigest('a'));
      expect(await registry.listRepositories({ limit: 10 })).toEqual(['a/c', 'b']);
      expect(await registry.listRepositories({ after: 'a/c', limit: 10 })).toEqual(['b']);
      expect(await registry.listRepositories({ limit: 1 })).toEqual(['a/c']);
      expect(await Promise.all(['a/c', 'b', 'gone', 'a'].map((name) => registry.hasRepository(name)))).toEqual([
        true,
        true,
        false,
        false,
      ]);
    });
  });

  describe('referrers', () => {
    it('are those of the repository with that subject, sorted by digest, of one type where it is given', async () => {
      const subject = aDigest('9');
      const [signature, sbom] = ['application/vnd.signature', 'application/vnd.sbom'];
      const three = aRecord({ digest: aDigest('3'), subject, artifactType: signature, references: [aDigest('a')] });
      const two = aRecord({ digest: aDigest('2'), subject, artifactType: sbom });
      const typeless = aRecord({ digest: aDigest('4'), subject });
      for (const record of [three, typeless, two, aRecord()]) await registry.putManifest(record, []);
      await registry.putManifest({ ...two, repository: 'other' }, []);
      expect(await registry.listReferrers('fleet/os', subject)).toEqual([two, three, typeless]);
      expect(await registry.listReferrers('fleet/os', subject, signature)).toEqual([three]);
      expect(await registry.listReferrers('fleet/os', MANIFEST)).toEqual([]);
    });
  });

  describe('links', () => {
    it('make a blob a part of a repository, until it is taken away', async () => {
      await registry.linkBlob('a', aDigest('a'), NOON);
      await registry.linkBlob('b', aDigest('a'), NOON);
      expect(await registry.hasBlob('a', aDigest('a'))).toBe(true);
      expect(await registry.hasBlob('a', aDigest('b'))).toBe(false);
      expect(await registry.repositoriesOf(aDigest('a'))).toEqual(['a', 'b']);
      expect(await registry.unlinkBlob('a', aDigest('a'))).toBe(true);
      expect(await registry.unlinkBlob('a', aDigest('a'))).toBe(false);
      expect(await registry.repositoriesOf(aDigest('a'))).toEqual(['b']);
    });
  });

  describe('records', () => {
    it('know every digest that is a manifest or a linked blob, but none that is only referred to', async () => {
      await registry.putManifest(aRecord({ references: [aDigest('c')] }), []);
      await registry.linkBlob('a', aDigest('a'), NOON);
      expect(await registry.allDigests()).toEqual(new Set([MANIFEST, aDigest('a')]));
      expect(await registry.isOnRecord(MANIFEST)).toBe(true);
      expect(await registry.isOnRecord(aDigest('a'))).toBe(true);
      expect(await registry.isOnRecord(aDigest('c'))).toBe(false);
    });

    it('are forgotten in all repositories', async () => {
      for (const repository of ['a', 'b']) {
        await registry.putManifest(aRecord({ repository, references: [aDigest('a')] }), ['latest']);
        await registry.linkBlob(repository, aDigest('a'), NOON);
        await registry.linkBlob(repository, aDigest('b'), NOON);
      }
      await registry.forget([MANIFEST, aDigest('a'), aDigest('f')]);
      expect(await registry.allDigests()).toEqual(new Set([aDigest('b')]));
      expect(await registry.resolveTag('a', 'latest')).toBeUndefined();
      await registry.forget([]);
    });
  });

  describe('keptDigests', () => {
    it('keeps what is tagged, with the references of its references', async () => {
      await registry.putManifest(aRecord({ digest: aDigest('2'), references: [aDigest('a'), aDigest('b')] }), []);
      await registry.putManifest(aRecord({ references: [aDigest('2')] }), ['latest']);
      await registry.putManifest(aRecord({ digest: aDigest('3'), references: [aDigest('c')] }), []);
      expect(await kept()).toBe('12ab');
    });

    it('keeps the referrers of a kept manifest, and not its subject for the referrer alone', async () => {
      await registry.putManifest(aRecord(), ['latest']);
      await registry.putManifest(aRecord({ digest: aDigest('2'), subject: MANIFEST, references: [aDigest('a')] }), []);
      await registry.putManifest(aRecord({ digest: aDigest('3'), subject: aDigest('2') }), []);
      await registry.putManifest(aRecord({ digest: aDigest('5'), subject: aDigest('4') }), ['signature']);
      await registry.putManifest(aRecord({ digest: aDigest('4') }), []);
      expect(await kept()).toBe('1235a');
    });

    it('keeps what is pinned with all that it needs, also where it is not on record', async () => {
      await registry.putManifest(aRecord({ references: [aDigest('a')] }), []);
      expect(await kept(NOON, new Set([MANIFEST, aDigest('f')]))).toBe('1af');
    });

    it('keeps what was put or linked after the given time; doing it again moves the time on', async () => {
      await registry.putManifest(aRecord({ references: [aDigest('a')] }), []);
      await registry.linkBlob('b', aDigest('b'), NOON);
      expect(await kept(NOON - 1)).toBe('1ab');
      expect(await kept(NOON)).toBe('');
      await registry.putManifest(aRecord({ references: [aDigest('a')], createdAt: NOON + 1 }), []);
      await registry.linkBlob('b', aDigest('b'), NOON + 1);
      expect(await kept(NOON)).toBe('1ab');
    });

    it('counts the loss of a tag to another manifest as a touch: somebody may be pulling what it named', async () => {
      await registry.putManifest(aRecord(), ['latest']);
      await registry.putManifest(aRecord({ digest: aDigest('2'), createdAt: NOON + 5 }), ['latest']);
      expect(await kept(NOON + 4)).toBe('12');
      expect(await kept(NOON + 5)).toBe('2');
    });

    it('agrees on random graphs with a search for what cannot be reached', async () => {
      const property = fc.asyncProperty(graph, async ({ manifests, blobs, pinned, since }) => {
        await registry.forget([...(await registry.allDigests())]);
        for (const { record, tagged } of manifests)
          await registry.putManifest(record, tagged ? [`tag-${record.digest.at(-1)!}`] : []);
        for (const { repository, digest, at } of blobs) await registry.linkBlob(repository, digest, at);
        const expected = new Set(NODES.filter((node) => isNeeded(node, { manifests, blobs, pinned, since })));
        expect(await registry.keptDigests(since, new Set(pinned))).toEqual(expected);
      });
      await fc.assert(property, { numRuns: 60 });
    });
  });
});

const NODES = Array.from('0123456789abcdef', (digit) => aDigest(digit));
const moment = fc.integer({ min: 0, max: 4 });
const graph = fc.record({
  manifests: fc.uniqueArray(
    fc.record({
      record: fc
        .record({
          repository: fc.constantFrom('a', 'b'),
          node: fc.nat({ max: 9 }),
          children: fc.array(fc.nat({ max: 15 }), { maxLength: 3 }),
          subject: fc.option(fc.nat({ max: 9 }), { nil: undefined }),
          createdAt: moment,
        })
        .map(({ repository, node, children, subject, createdAt }) =>
          aRecord({
            repository,
            digest: NODES[node]!,
            references: children.map((child) => NODES[child]!),
            createdAt,
            ...(subject !== undefined && { subject: NODES[subject]! }),
          }),
        ),
      tagged: fc.boolean(),
    }),
    { maxLength: 12, selector: ({ record }) => `${record.repository} ${record.digest}` },
  ),
  blobs: fc.uniqueArray(
    fc.record({ repository: fc.constantFrom('a', 'b'), digest: fc.constantFrom(...NODES.slice(8)), at: moment }),
    { maxLength: 8, selector: ({ repository, digest }) => `${repository} ${digest}` },
  ),
  pinned: fc.array(fc.constantFrom(...NODES), { maxLength: 2 }),
  since: moment,
});

type Graph = typeof graph extends fc.Arbitrary<infer T> ? T : never;

/** Backwards from the node to a root; the stores walk forwards from the roots. */
function isNeeded(node: Digest, all: Graph, seen: readonly Digest[] = []): boolean {
  if (seen.includes(node)) return false;
  const own = all.manifests.filter(({ record }) => record.digest === node);
  const isRoot =
    all.pinned.includes(node) ||
    own.some(({ record, tagged }) => tagged || record.createdAt > all.since) ||
    all.blobs.some(({ digest, at }) => digest === node && at > all.since);
  const parents = all.manifests.filter(({ record }) => record.references.includes(node));
  const subjects = own.flatMap(({ record }) => record.subject ?? []);
  return (
    isRoot ||
    [...parents.map(({ record }) => record.digest), ...subjects].some((next) => isNeeded(next, all, [...seen, node]))
  );
}
