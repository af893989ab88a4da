import { Readable } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import type { RegistryService } from '../../../../src/images/registry/registry-service.ts';
import type { StoredManifest } from '../../../../src/images/registry/registry-outcome.ts';
import { aDigest, NOON } from '../../../support/domain-builders.ts';
import { aContent, aDescriptor, aManifest, digestOf, OCI_INDEX, OCI_MANIFEST } from '../../../support/oci-layout.ts';
import {
  aMemoryRegistry,
  anImageOf,
  pushBlobs,
  pushManifest,
  streamOf,
  type RegistryWorld,
} from '../../../support/registry-world.ts';

const REPO = 'fleet/os';
const IMAGE = anImageOf('one');
const [CONFIG, LAYER] = IMAGE.blobs as [ReturnType<typeof aContent>, ReturnType<typeof aContent>];

function anIndex(manifests: readonly ReturnType<typeof aContent>[], rest: object = {}) {
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: manifests.map(aDescriptor), ...rest };
  return aContent(JSON.stringify(index), OCI_INDEX);
}

describe('RegistryService', () => {
  let world: RegistryWorld;
  let registry: RegistryService;
  beforeEach(() => {
    world = aMemoryRegistry({ now: () => NOON }, 1000);
    registry = world.registry;
  });

  const startUpload = async (repository = REPO): Promise<string> => {
    const started = await registry.startUpload({ repository });
    if (started.kind !== 'started') throw new Error(started.kind);
    return started.id;
  };
  const pushImage = async (image = IMAGE, reference = 'latest', repository = REPO): Promise<void> => {
    await pushBlobs(registry, repository, ...image.blobs);
    const stored = await pushManifest(registry, repository, reference, image.manifest);
    if (stored.kind === 'refused') throw new Error(stored.message);
  };

  describe('names', () => {
    it.each(['', 'Fleet', 'fleet//os', 'fleet/', '../os', 'fleet os', 'a'.repeat(201), 'fleet:tag', 'fleet@stable'])(
      'refuses the repository %j everywhere (NAME_INVALID)',
      async (repository) => {
        const reference = aDigest();
        const content = streamOf(LAYER.bytes);
        const answers = await Promise.all([
          registry.getManifest(repository, reference),
          registry.headManifest(repository, reference),
          pushManifest(registry, repository, reference, IMAGE.manifest),
          registry.deleteManifest(repository, reference),
          registry.getBlob(repository, reference),
          registry.headBlob(repository, reference),
          registry.deleteBlob(repository, reference),
          registry.putBlob({ repository, digest: LAYER.digest, content }),
          registry.startUpload({ repository }),
          registry.listTags(repository, {}),
          registry.referrers(repository, reference),
        ]);
        expect(new Set(answers.map((answer) => answer.kind === 'refused' && answer.code))).toEqual(
          new Set(['NAME_INVALID']),
        );
      },
    );
  });

  describe('putManifest and getManifest', () => {
    it('gives the bytes back as they were pushed, by tag and by digest', async () => {
      const text = JSON.stringify(JSON.parse(IMAGE.manifest.bytes.toString()), undefined, 3);
      const odd = aContent(`\n${text}\n`, OCI_MANIFEST);
      await pushImage({ ...IMAGE, manifest: odd });
      for (const reference of ['latest', odd.digest]) {
        const found = await registry.getManifest(REPO, reference);
        expect(found).toMatchObject({
          kind: 'found',
          bytes: odd.bytes,
          record: { digest: odd.digest, mediaType: OCI_MANIFEST, sizeBytes: odd.bytes.length, createdAt: NOON },
        });
        expect(await registry.headManifest(REPO, reference)).not.toHaveProperty('bytes');
      }
    });

    it('gives it more tags than one in a push', async () => {
      await pushBlobs(registry, REPO, ...IMAGE.blobs);
      const { bytes, digest } = IMAGE.manifest;
      const stored = await registry.putManifest({ repository: REPO, reference: digest, tags: ['b', 'a', 'b'], bytes });
      expect(stored).toMatchObject({ kind: 'stored', tags: ['b', 'a'], record: { digest } });
      expect(await registry.listTags(REPO, {})).toMatchObject({ items: ['a', 'b'] });
    });

    it('takes a manifest by its SHA-512', async () => {
      const long = aManifest(CONFIG, [LAYER], {}, 'sha512');
      await pushImage({ ...IMAGE, manifest: long }, long.digest);
      expect(await registry.getManifest(REPO, long.digest)).toMatchObject({ bytes: long.bytes });
    });

    it('moves a tag, and the manifest that had it stays under its digest', async () => {
      const two = anImageOf('two');
      await pushImage();
      await pushImage(two);
      expect(await registry.headManifest(REPO, 'latest')).toMatchObject({ record: { digest: two.manifest.digest } });
      expect(await registry.headManifest(REPO, IMAGE.manifest.digest)).toMatchObject({ kind: 'found' });
    });

    it('refuses bytes that do not have the digest of the reference (DIGEST_INVALID)', async () => {
      await pushBlobs(registry, REPO, ...IMAGE.blobs);
      const answers = [aDigest(), 'sha256:short', 'md5:00'].map((reference) =>
        pushManifest(registry, REPO, reference, IMAGE.manifest),
      );
      expect(await Promise.all(answers)).toMatchObject(Array(3).fill({ kind: 'refused', code: 'DIGEST_INVALID' }));
    });

    it.each(['.hidden', 'a'.repeat(129), 'with space', ''])('refuses the tag %j (MANIFEST_INVALID)', async (tag) => {
      await pushBlobs(registry, REPO, ...IMAGE.blobs);
      const { bytes, digest } = IMAGE.manifest;
      const refusal = { kind: 'refused', code: 'MANIFEST_INVALID' };
      expect(await pushManifest(registry, REPO, tag, IMAGE.manifest)).toMatchObject(refusal);
      expect(await registry.putManifest({ repository: REPO, reference: digest, tags: [tag], bytes })).toMatchObject(
        refusal,
      );
      expect(await registry.headManifest(REPO, tag)).toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    });

    it('takes 4 MiB and refuses one byte more, with the limit (distribution-spec "Pushing Manifests")', async () => {
      await pushBlobs(registry, REPO, ...IMAGE.blobs);
      const limit = 4 * 1024 * 1024;
      const text = IMAGE.manifest.bytes.toString();
      const full = aContent(text.padEnd(limit, ' '), OCI_MANIFEST);
      const over = aContent(text.padEnd(limit + 1, ' '), OCI_MANIFEST);
      expect(await pushManifest(registry, REPO, 'full', full)).toMatchObject({ kind: 'stored' });
      expect(await pushManifest(registry, REPO, 'over', over)).toMatchObject({
        code: 'MANIFEST_INVALID',
        limitBytes: limit,
      });
    });

    it('refuses what is no manifest and keeps nothing of it (MANIFEST_INVALID)', async () => {
      const junk = aContent('{"schemaVersion":2}', OCI_MANIFEST);
      expect(await pushManifest(registry, REPO, 'junk', junk)).toMatchObject({ code: 'MANIFEST_INVALID' });
      expect(await world.blobs.size(junk.digest)).toBeUndefined();
    });

    it('refuses a manifest whose blobs this repository does not have, also when another has (MANIFEST_BLOB_UNKNOWN)', async () => {
      await pushBlobs(registry, 'other', ...IMAGE.blobs);
      await pushBlobs(registry, REPO, CONFIG);
      const refusal = await pushManifest(registry, REPO, 'latest', IMAGE.manifest);
      expect(refusal).toMatchObject({ kind: 'refused', code: 'MANIFEST_BLOB_UNKNOWN' });
      expect(refusal.kind === 'refused' && refusal.message).toContain(LAYER.digest);
      expect(await world.blobs.size(IMAGE.manifest.digest)).toBeUndefined();
    });

    it('refuses a manifest that says another size than a blob has (SIZE_INVALID)', async () => {
      await pushBlobs(registry, REPO, ...IMAGE.blobs);
      const layers = [{ ...aDescriptor(LAYER), size: 1 }];
      expect(await pushManifest(registry, REPO, 'latest', aManifest(CONFIG, [], { layers }))).toMatchObject({
        code: 'SIZE_INVALID',
      });
    });

    it('takes an index of indexes once their manifests are there, by digest', async () => {
      const inner = anIndex([IMAGE.manifest]);
      const outer = anIndex([inner]);
      await pushBlobs(registry, REPO, ...IMAGE.blobs);
      expect(await pushManifest(registry, REPO, 'latest', outer)).toMatchObject({ code: 'MANIFEST_BLOB_UNKNOWN' });
      for (const content of [IMAGE.manifest, inner, outer]) {
        expect(await pushManifest(registry, REPO, content.digest, content)).toMatchObject({ kind: 'stored' });
      }
    });

    it('takes a manifest whose subject is missing (distribution-spec "Pushing Manifests with Subject")', async () => {
      await pushBlobs(registry, REPO, ...IMAGE.blobs);
      const subject = { mediaType: OCI_MANIFEST, digest: aDigest('f'), size: 7 };
      const artifact = aManifest(CONFIG, [LAYER], { subject });
      expect(await pushManifest(registry, REPO, artifact.digest, artifact)).toMatchObject({
        kind: 'stored',
        record: { subject: aDigest('f') },
      });
    });

    it('tells listeners, and answers once they are done', async () => {
      const heard: StoredManifest[] = [];
      registry.onManifestStored(async (stored) => {
        await new Promise((resolve) => setImmediate(resolve));
        heard.push(stored);
      });
      await pushImage();
      expect(heard).toMatchObject([{ record: { digest: IMAGE.manifest.digest, repository: REPO }, tags: ['latest'] }]);
    });

    it('knows no manifest of an unknown repository (NAME_UNKNOWN), nor an unknown one of its own (MANIFEST_UNKNOWN)', async () => {
      expect(await registry.getManifest(REPO, 'latest')).toMatchObject({ code: 'NAME_UNKNOWN' });
      await pushImage();
      for (const reference of ['other', aDigest()]) {
        expect(await registry.getManifest(REPO, reference)).toMatchObject({ code: 'MANIFEST_UNKNOWN' });
      }
      expect(await registry.getManifest(REPO, 'sha256:short')).toMatchObject({ code: 'DIGEST_INVALID' });
    });
  });

  describe('deleteManifest', () => {
    it('takes a tag away, or the manifest with its tags', async () => {
      await pushImage(IMAGE, 'v1');
      await pushImage(IMAGE, 'v2');
      expect(await registry.deleteManifest(REPO, 'v1')).toEqual({ kind: 'deleted' });
      expect(await registry.deleteManifest(REPO, 'v1')).toMatchObject({ code: 'MANIFEST_UNKNOWN' });
      expect(await registry.deleteManifest(REPO, IMAGE.manifest.digest)).toEqual({ kind: 'deleted' });
      expect(await registry.headManifest(REPO, 'v2')).toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    });

    it('refuses what is pinned (DENIED)', async () => {
      await pushImage();
      world.pinned.add(IMAGE.manifest.digest);
      expect(await registry.deleteManifest(REPO, IMAGE.manifest.digest)).toMatchObject({ code: 'DENIED' });
      expect(await registry.headManifest(REPO, 'latest')).toMatchObject({ kind: 'found' });
    });
  });

  describe('blobs', () => {
    it('are known in the repository that they were pushed to', async () => {
      await pushBlobs(registry, REPO, LAYER);
      const found = { kind: 'found', digest: LAYER.digest, sizeBytes: LAYER.bytes.length };
      expect(await registry.getBlob(REPO, LAYER.digest)).toEqual(found);
      expect(await registry.headBlob(REPO, LAYER.digest)).toEqual(found);
      for (const [repository, digest] of [
        ['other', LAYER.digest],
        [REPO, aDigest()],
      ] as const) {
        expect(await registry.getBlob(repository, digest)).toMatchObject({ code: 'BLOB_UNKNOWN' });
        expect(await registry.headBlob(repository, digest)).toMatchObject({ code: 'BLOB_UNKNOWN' });
      }
      expect(await registry.getBlob(REPO, 'sha256:short')).toMatchObject({ code: 'DIGEST_INVALID' });
    });

    it('come in one go, are verified, and leave no upload behind', async () => {
      const put = (digest: string, bytes = LAYER.bytes) =>
        registry.putBlob({ repository: REPO, digest, content: streamOf(bytes) });
      expect(await put(LAYER.digest)).toEqual({ kind: 'stored', digest: LAYER.digest, sizeBytes: LAYER.bytes.length });
      expect(await put(aDigest())).toMatchObject({ code: 'DIGEST_INVALID' });
      expect(await put('nonsense')).toMatchObject({ code: 'DIGEST_INVALID' });
      expect(await put(aDigest(), Buffer.alloc(1001))).toMatchObject({ code: 'SIZE_INVALID', limitBytes: 1000 });
      const broken = new Readable({
        read() {
          this.destroy(new Error('connection reset'));
        },
      });
      await expect(registry.putBlob({ repository: REPO, digest: aDigest(), content: broken })).rejects.toThrow('reset');
      expect(await world.uploads.removeStale(Infinity)).toBe(0);
    });

    it('are taken away from a repository, unless a manifest of it needs them (UNSUPPORTED)', async () => {
      await pushImage();
      expect(await registry.deleteBlob(REPO, LAYER.digest)).toMatchObject({ code: 'UNSUPPORTED' });
      await registry.deleteManifest(REPO, IMAGE.manifest.digest);
      expect(await registry.deleteBlob(REPO, LAYER.digest)).toEqual({ kind: 'deleted' });
      expect(await registry.deleteBlob(REPO, LAYER.digest)).toMatchObject({ code: 'BLOB_UNKNOWN' });
      expect(await registry.deleteBlob(REPO, 'nonsense')).toMatchObject({ code: 'DIGEST_INVALID' });
      expect(await registry.getBlob(REPO, LAYER.digest)).toMatchObject({ code: 'BLOB_UNKNOWN' });
    });
  });

  describe('uploads', () => {
    it('go from start over chunks to an end with a last chunk', async () => {
      const id = await startUpload();
      const chunk = { repository: REPO, id };
      expect(await registry.uploadStatus(REPO, id)).toEqual({ kind: 'found', offset: 0 });
      const first = { ...chunk, content: streamOf(LAYER.bytes.subarray(0, 4)), range: { start: 0, end: 3 } };
      expect(await registry.appendUpload(first)).toEqual({ kind: 'appended', offset: 4 });
      expect(await registry.uploadStatus(REPO, id)).toEqual({ kind: 'found', offset: 4 });
      const content = streamOf(LAYER.bytes.subarray(4));
      expect(await registry.finishUpload({ ...chunk, digest: LAYER.digest, content })).toMatchObject({
        kind: 'stored',
      });
      expect(await registry.uploadStatus(REPO, id)).toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
      expect(await registry.getBlob(REPO, LAYER.digest)).toMatchObject({ kind: 'found' });
    });

    it('take no chunk out of order, and no last one either', async () => {
      const id = await startUpload();
      const chunk = () => ({ repository: REPO, id, content: streamOf(LAYER.bytes), range: { start: 5, end: 9 } });
      const outOfOrder = { kind: 'out-of-order', offset: 0 };
      expect(await registry.appendUpload(chunk())).toEqual(outOfOrder);
      expect(await registry.finishUpload({ ...chunk(), digest: LAYER.digest })).toEqual(outOfOrder);
      expect(await registry.uploadStatus(REPO, id)).toEqual({ kind: 'found', offset: 0 });
    });

    it('end with the wrong digest in a refusal and nothing else (DIGEST_INVALID)', async () => {
      const id = await startUpload();
      const end = () => ({ repository: REPO, id, content: streamOf(LAYER.bytes) });
      expect(await registry.finishUpload({ ...end(), digest: 'nonsense' })).toMatchObject({ code: 'DIGEST_INVALID' });
      expect(await registry.uploadStatus(REPO, id)).toMatchObject({ offset: 0 });
      expect(await registry.finishUpload({ ...end(), digest: aDigest() })).toMatchObject({ code: 'DIGEST_INVALID' });
      expect(await registry.uploadStatus(REPO, id)).toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
    });

    it('are longer than the limit for nobody (SIZE_INVALID)', async () => {
      const id = await startUpload();
      const content = streamOf(Buffer.alloc(1001));
      const refusal = { code: 'SIZE_INVALID', limitBytes: 1000 };
      expect(await registry.appendUpload({ repository: REPO, id, content })).toMatchObject(refusal);
    });

    it.each(['0f0e0d0c-0b0a-4908-8706-050403020100', '../../etc/passwd', ''])(
      'do not know %j (BLOB_UPLOAD_UNKNOWN)',
      async (id) => {
        const chunk = () => ({ repository: REPO, id, content: streamOf(LAYER.bytes) });
        const answers = await Promise.all([
          registry.uploadStatus(REPO, id),
          registry.appendUpload(chunk()),
          registry.finishUpload({ ...chunk(), digest: LAYER.digest }),
          registry.finishUpload({ repository: REPO, id, digest: LAYER.digest }),
          registry.cancelUpload(REPO, id),
        ]);
        expect(answers).toMatchObject(Array(5).fill({ kind: 'refused', code: 'BLOB_UPLOAD_UNKNOWN' }));
      },
    );

    it('are cancelled', async () => {
      const id = await startUpload();
      expect(await registry.cancelUpload(REPO, id)).toEqual({ kind: 'deleted' });
      expect(await registry.cancelUpload(REPO, id)).toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
    });

    it('are so many at once and no more (TOOMANYREQUESTS)', async () => {
      for (let number = 0; number < 1000; number += 1) await startUpload();
      expect(await registry.startUpload({ repository: REPO })).toMatchObject({ code: 'TOOMANYREQUESTS' });
    });
  });

  describe('mount', () => {
    it('takes a blob over from the repository that is named, or from any', async () => {
      await pushBlobs(registry, 'other', LAYER);
      const mount = LAYER.digest;
      const mounted = { kind: 'mounted', digest: LAYER.digest };
      expect(await registry.startUpload({ repository: REPO, mount, from: 'other' })).toEqual(mounted);
      expect(await registry.startUpload({ repository: 'third', mount })).toEqual(mounted);
      expect(await registry.getBlob(REPO, LAYER.digest)).toMatchObject({ kind: 'found' });
      expect(await registry.getBlob('third', LAYER.digest)).toMatchObject({ kind: 'found' });
    });

    it('starts an upload where the blob is not there (distribution-spec "Mounting a blob from another repository")', async () => {
      await pushBlobs(registry, 'other', LAYER);
      expect(await registry.startUpload({ repository: REPO, mount: aDigest(), from: 'other' })).toMatchObject({
        kind: 'started',
      });
      expect(await registry.startUpload({ repository: REPO, mount: LAYER.digest, from: 'third' })).toMatchObject({
        kind: 'started',
      });
      expect(await registry.startUpload({ repository: REPO, mount: 'nonsense' })).toMatchObject({
        code: 'DIGEST_INVALID',
      });
    });
  });

  describe('lists', () => {
    it('give tags page by page, and say where the next page begins', async () => {
      for (const tag of ['c', 'a', 'b']) await pushImage(IMAGE, tag);
      expect(await registry.listTags(REPO, {})).toEqual({ kind: 'page', items: ['a', 'b', 'c'] });
      expect(await registry.listTags(REPO, { limit: 2 })).toEqual({ kind: 'page', items: ['a', 'b'], next: 'b' });
      expect(await registry.listTags(REPO, { limit: 2, after: 'b' })).toEqual({ kind: 'page', items: ['c'] });
      expect(await registry.listTags(REPO, { limit: 0 })).toEqual({ kind: 'page', items: [] });
      expect(await registry.listTags('other', {})).toMatchObject({ code: 'NAME_UNKNOWN' });
    });

    it('give no tags of a repository that has only blobs', async () => {
      await pushBlobs(registry, REPO, LAYER);
      expect(await registry.listTags(REPO, {})).toEqual({ kind: 'page', items: [] });
    });

    it('give repositories page by page', async () => {
      for (const repository of ['b', 'a']) await pushBlobs(registry, repository, LAYER);
      expect(await registry.catalog({ limit: 1 })).toEqual({ kind: 'page', items: ['a'], next: 'a' });
      expect(await registry.catalog({ limit: 1, after: 'a' })).toEqual({ kind: 'page', items: ['b'] });
    });

    it('give referrers by type, and an empty page for what is unknown (distribution-spec "Listing Referrers")', async () => {
      await pushImage();
      const subject = aDescriptor(IMAGE.manifest);
      const signature = aManifest(CONFIG, [LAYER], { subject, artifactType: 'application/vnd.signature' });
      const other = aManifest(CONFIG, [LAYER], { subject, annotations: { key: 'value' } });
      for (const content of [signature, other]) await pushManifest(registry, REPO, content.digest, content);
      const digestsOf = async (artifactType?: string): Promise<readonly string[]> => {
        const page = await registry.referrers(REPO, IMAGE.manifest.digest, {
          ...(artifactType !== undefined && { artifactType }),
        });
        return page.kind === 'page' ? page.items.map(({ digest }) => digest) : [];
      };
      expect(await digestsOf()).toEqual([signature.digest, other.digest].toSorted());
      expect(await digestsOf('application/vnd.signature')).toEqual([signature.digest]);
      expect(await digestsOf(CONFIG.mediaType)).toEqual([other.digest]);
      expect(await registry.referrers('unknown', aDigest())).toEqual({ kind: 'page', items: [] });
      expect(await registry.referrers(REPO, 'nonsense')).toMatchObject({ code: 'DIGEST_INVALID' });
    });

    it('give referrers in pages that stay under 4 MiB', async () => {
      await pushImage();
      const subject = aDescriptor(IMAGE.manifest);
      for (const number of [1, 2, 3]) {
        const large = aManifest(CONFIG, [LAYER], {
          subject,
          annotations: { number: String(number).repeat(2_000_000) },
        });
        await pushManifest(registry, REPO, large.digest, large);
      }
      const seen: string[] = [];
      for (let after: string | undefined = ''; after !== undefined;) {
        const page = await registry.referrers(REPO, IMAGE.manifest.digest, { after });
        if (page.kind === 'refused') throw new Error(page.message);
        expect(page.items).toHaveLength(1);
        seen.push(...page.items.map(({ digest }) => digest));
        after = page.next;
      }
      expect(new Set(seen).size).toBe(3);
    });
  });

  it('keeps a blob named by SHA-512 apart from the same bytes named by SHA-256', async () => {
    const long = digestOf(LAYER.bytes, 'sha512');
    await pushBlobs(registry, REPO, { digest: long, bytes: LAYER.bytes });
    expect(await registry.getBlob(REPO, long)).toMatchObject({ kind: 'found' });
    expect(await registry.getBlob(REPO, LAYER.digest)).toMatchObject({ code: 'BLOB_UNKNOWN' });
  });
});
