// OCI distribution-spec 1.1, endpoint by endpoint in the numbers of its table: what each answers and how it fails. The cases are
// those of the spec's text and of its conformance program; nothing here knows how the registry keeps what it has. Push of manifests and content management: end-7, end-9 and end-10.
import { beforeEach, describe, expect, it } from 'vitest';
import { aContent, aDescriptor, aManifest, OCI_INDEX, OCI_MANIFEST, type Content } from '../support/oci-layout.ts';
import {
  aBlob,
  ALGORITHMS,
  codesOf,
  CONFIG,
  IMAGE,
  LAYER,
  NOWHERE,
  OTHER,
  REPO,
  RegistryHttp,
} from '../support/registry-http.ts';
import { anHttpWorld, AS_ADMIN } from '../unit/http/http-world.ts';

let registry: RegistryHttp;

beforeEach(() => {
  registry = new RegistryHttp(anHttpWorld().api, AS_ADMIN);
});

describe('end-7a: PUT of a manifest', () => {
  it('takes it by tag, at the address of its digest', async () => {
    await registry.push(REPO, CONFIG, LAYER);
    const answer = await registry.putManifest(REPO, 'v1', IMAGE);
    expect(answer.statusCode).toBe(201);
    expect(answer.headers).toMatchObject({
      location: `/v2/${REPO}/manifests/${IMAGE.digest}`,
      'docker-content-digest': IMAGE.digest,
    });
    expect(answer.headers).not.toHaveProperty('oci-subject');
  });

  it.each(ALGORITHMS)('takes it by digest: %s', async (algorithm) => {
    await registry.push(REPO, CONFIG, LAYER);
    const image = aManifest(CONFIG, [LAYER], {}, algorithm);
    const answer = await registry.putManifest(REPO, image.digest, image);
    expect([answer.statusCode, answer.headers['docker-content-digest']]).toEqual([201, image.digest]);
    expect((await registry.call('GET', `${REPO}/manifests/${image.digest}`)).body).toBe(image.bytes.toString());
  });

  it('lets a tag move', async () => {
    await registry.pushImage();
    const next = aManifest(CONFIG, [LAYER], { annotations: { version: '2' } });
    await registry.putManifest(REPO, 'v1', next);
    const head = await registry.call('HEAD', `${REPO}/manifests/v1`);
    expect(head.headers['docker-content-digest']).toBe(next.digest);
  });

  it('takes an image without layers, and fields that it does not know', async () => {
    await registry.push(REPO, CONFIG);
    const bare = aManifest(CONFIG, [], { 'org.example.extra': { deep: [1, 2, 3] } });
    expect((await registry.putManifest(REPO, 'bare', bare)).statusCode).toBe(201);
    expect((await registry.call('GET', `${REPO}/manifests/bare`)).body).toBe(bare.bytes.toString());
  });

  it('takes an index of images, one of indexes, and an empty one', async () => {
    await registry.pushImage();
    const index = (...children: Content[]): Content =>
      aContent(
        JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: children.map(aDescriptor) }),
        OCI_INDEX,
      );
    const images = index(IMAGE);
    for (const [tag, content] of Object.entries({ images, nested: await pushed(images).then(index), empty: index() })) {
      expect([tag, (await registry.putManifest(REPO, tag, content)).statusCode]).toEqual([tag, 201]);
      expect((await registry.call('GET', `${REPO}/manifests/${tag}`)).headers['content-type']).toBe(OCI_INDEX);
    }
  });

  const pushed = async (content: Content): Promise<Content> => {
    await registry.putManifest(REPO, content.digest, content);
    return content;
  };

  it('answers MANIFEST_BLOB_UNKNOWN for an image whose blobs, or an index whose images, are not there', async () => {
    await registry.push(REPO, CONFIG);
    const image = await registry.putManifest(REPO, 'v1', IMAGE);
    expect([image.statusCode, codesOf(image)]).toEqual([404, ['MANIFEST_BLOB_UNKNOWN']]);
    const sparse = aContent(
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [aDescriptor(IMAGE)] }),
      OCI_INDEX,
    );
    const index = await registry.putManifest(REPO, 'sparse', sparse);
    // The spec leaves it to the registry; one whose every tag can be booted takes no holes.
    expect([index.statusCode, codesOf(index)]).toEqual([404, ['MANIFEST_BLOB_UNKNOWN']]);
  });

  it('takes layers that may not be distributed without their bytes', async () => {
    await registry.push(REPO, CONFIG);
    const foreign = {
      mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
      ...{ digest: NOWHERE, size: 12_345, urls: ['https://store.example.com/x'] },
    };
    const image = aManifest(CONFIG, [], { layers: [foreign] });
    expect((await registry.putManifest(REPO, 'foreign', image)).statusCode).toBe(201);
  });

  it('takes 4 MB and answers 413 to more', async () => {
    await registry.push(REPO, CONFIG);
    const ofSize = (bytes: number): Content =>
      aManifest(CONFIG, [], { annotations: { 'org.example.filler': 'x'.repeat(bytes) } });
    expect((await registry.putManifest(REPO, 'big', ofSize(4_000_000))).statusCode).toBe(201);
    const tooBig = await registry.putManifest(REPO, 'bigger', ofSize(4_300_000));
    expect([tooBig.statusCode, codesOf(tooBig)]).toEqual([413, ['SIZE_INVALID']]);
    expect((await registry.call('HEAD', `${REPO}/manifests/bigger`)).statusCode).toBe(404);
  });

  it.each([
    ['no JSON', '{', OCI_MANIFEST],
    ['another type than its own', IMAGE.bytes.toString(), OCI_INDEX],
    ['no manifest', '[]', OCI_MANIFEST],
    ['a size below nothing', IMAGE.bytes.toString().replace(/"size":\d+/, '"size":-1'), OCI_MANIFEST],
  ])('answers 400 with MANIFEST_INVALID to %s', async (_name, text, mediaType) => {
    await registry.push(REPO, CONFIG, LAYER);
    const answer = await registry.putManifest(REPO, 'v1', aContent(text, mediaType));
    expect([answer.statusCode, codesOf(answer)]).toEqual([400, ['MANIFEST_INVALID']]);
  });

  it('answers 400 with DIGEST_INVALID where bytes and digest differ', async () => {
    await registry.push(REPO, CONFIG, LAYER);
    const answer = await registry.putManifest(
      REPO,
      IMAGE.digest,
      aContent(`${IMAGE.bytes.toString()}  `, OCI_MANIFEST),
    );
    expect([answer.statusCode, codesOf(answer)]).toEqual([400, ['DIGEST_INVALID']]);
  });

  it('answers 400 to a tag that cannot be', async () => {
    await registry.push(REPO, CONFIG, LAYER);
    for (const tag of ['.hidden', '-x', 'a'.repeat(129)])
      expect([tag, (await registry.putManifest(REPO, tag, IMAGE)).statusCode]).toEqual([tag, 400]);
  });
});

describe('end-7b: PUT of a manifest by digest with tags', () => {
  it.each(ALGORITHMS)('names it by all of them at once and says so, ten at least: %s', async (algorithm) => {
    await registry.push(REPO, CONFIG, LAYER);
    const image = aManifest(CONFIG, [LAYER], {}, algorithm);
    const tags = Array.from({ length: 10 }, (_, index) => `1.${index}`);
    const answer = await registry.putManifest(REPO, image.digest, image, { tag: tags });
    expect(answer.statusCode).toBe(201);
    expect([answer.headers['oci-tag']].flat().join(', ').split(', ')).toEqual(tags);
    for (const tag of tags) {
      const head = await registry.call('HEAD', `${REPO}/manifests/${tag}`);
      expect(head.headers['docker-content-digest']).toBe(image.digest);
    }
  });

  it('takes none where one of them cannot be', async () => {
    await registry.push(REPO, CONFIG, LAYER);
    const answer = await registry.putManifest(REPO, IMAGE.digest, IMAGE, { tag: ['good', '.bad'] });
    expect(answer.statusCode).toBe(400);
    expect((await registry.call('HEAD', `${REPO}/manifests/good`)).statusCode).toBe(404);
  });
});

describe('end-9 and 10: DELETE', () => {
  it('of a tag takes the name and leaves the manifest', async () => {
    await registry.pushImage();
    expect((await registry.call('DELETE', `${REPO}/manifests/v1`)).statusCode).toBe(202);
    expect((await registry.call('HEAD', `${REPO}/manifests/v1`)).statusCode).toBe(404);
    expect((await registry.call('HEAD', `${REPO}/manifests/${IMAGE.digest}`)).statusCode).toBe(200);
    expect((await registry.call('DELETE', `${REPO}/manifests/v1`)).statusCode).toBe(404);
  });

  it('of a manifest takes its tags along', async () => {
    await registry.pushImage();
    expect((await registry.call('DELETE', `${REPO}/manifests/${IMAGE.digest}`)).statusCode).toBe(202);
    for (const reference of ['v1', IMAGE.digest])
      expect((await registry.call('GET', `${REPO}/manifests/${reference}`)).statusCode).toBe(404);
    const again = await registry.call('DELETE', `${REPO}/manifests/${IMAGE.digest}`);
    expect([again.statusCode, codesOf(again)]).toEqual([404, ['MANIFEST_UNKNOWN']]);
  });

  it('of a blob takes it from this repository alone', async () => {
    const blob = aBlob();
    await registry.push(REPO, blob);
    await registry.push(OTHER, blob);
    expect((await registry.call('DELETE', `${REPO}/blobs/${blob.digest}`)).statusCode).toBe(202);
    expect((await registry.call('HEAD', `${REPO}/blobs/${blob.digest}`)).statusCode).toBe(404);
    await registry.expectBlob(blob, OTHER);
    const again = await registry.call('DELETE', `${REPO}/blobs/${blob.digest}`);
    expect([again.statusCode, codesOf(again)]).toEqual([404, ['BLOB_UNKNOWN']]);
  });

  it('of a blob that a manifest needs is not allowed (405)', async () => {
    await registry.pushImage();
    const answer = await registry.call('DELETE', `${REPO}/blobs/${LAYER.digest}`);
    expect([answer.statusCode, codesOf(answer)]).toEqual([405, ['UNSUPPORTED']]);
    await registry.expectBlob(LAYER);
  });

  it('answers 404 in a repository that is not there', async () => {
    for (const path of [`no/place/manifests/${NOWHERE}`, 'no/place/manifests/v1', `no/place/blobs/${NOWHERE}`])
      expect([path, (await registry.call('DELETE', path)).statusCode]).toEqual([path, 404]);
  });
});
