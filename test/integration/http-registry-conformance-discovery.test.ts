// OCI distribution-spec 1.1, endpoint by endpoint in the numbers of its table: what each answers and how it fails. The cases are
// those of the spec's text and of its conformance program; nothing here knows how the registry keeps what it has. Content discovery: end-8 and end-12.
import { beforeEach, describe, expect, it } from 'vitest';
import { aContent, aDescriptor, aManifest, OCI_EMPTY, OCI_INDEX } from '../support/oci-layout.ts';
import { codesOf, CONFIG, IMAGE, LAYER, NOWHERE, OTHER, REPO, RegistryHttp } from '../support/registry-http.ts';
import { anHttpWorld, AS_ADMIN } from '../unit/http/http-world.ts';

const EMPTY = aContent('{}', OCI_EMPTY);

let registry: RegistryHttp;

beforeEach(() => {
  registry = new RegistryHttp(anHttpWorld().api, AS_ADMIN);
});

describe('end-8: tags', () => {
  const TAGS = ['B', 'a', 'b', 'c', 'v1.10', 'v1.9', 'z'];
  const tagsOf = async (query: Record<string, string> = {}) => {
    const answer = await registry.call('GET', `${REPO}/tags/list`, { query });
    expect(answer.statusCode).toBe(200);
    const { name, tags } = answer.json<{ name: string; tags: string[] }>();
    expect(name).toBe(REPO);
    return { tags, link: answer.headers.link };
  };

  beforeEach(async () => {
    await registry.push(REPO, CONFIG, LAYER);
    await registry.putManifest(REPO, IMAGE.digest, IMAGE, { tag: [...TAGS].reverse() });
  });

  it('are all there, in lexical order', async () => {
    expect(await tagsOf()).toEqual({ tags: TAGS, link: undefined });
  });

  it('come n at a time, with a Link to the next (RFC 8288), until all are there', async () => {
    const seen: string[] = [];
    let path: string | undefined = `/v2/${REPO}/tags/list?n=3`;
    const sizes: number[] = [];
    while (path !== undefined) {
      const answer = await registry.call('GET', path);
      const { tags } = answer.json<{ tags: string[] }>();
      seen.push(...tags);
      sizes.push(tags.length);
      path = /^<(\/v2\/[^>]+)>; rel="next"$/.exec(String(answer.headers.link))?.[1];
    }
    expect([seen, sizes]).toEqual([TAGS, [3, 3, 1]]);
  });

  it('begin after last, with n and without, whether or not there is such a tag', async () => {
    expect((await tagsOf({ last: 'b' })).tags).toEqual(['c', 'v1.10', 'v1.9', 'z']);
    expect((await tagsOf({ n: '2', last: 'b' })).tags).toEqual(['c', 'v1.10']);
    expect((await tagsOf({ last: 'bb' })).tags).toEqual(['c', 'v1.10', 'v1.9', 'z']);
    expect(await tagsOf({ last: 'z' })).toEqual({ tags: [], link: undefined });
  });

  it('are none without a Link for n=0', async () => {
    expect(await tagsOf({ n: '0' })).toEqual({ tags: [], link: undefined });
  });

  it('are none in a repository that has only untagged content', async () => {
    await registry.push(OTHER, CONFIG);
    expect((await registry.call('GET', `${OTHER}/tags/list`)).json()).toEqual({ name: OTHER, tags: [] });
  });

  it('fail with 404 in a repository that is not there, with 400 for a number that is none', async () => {
    const missing = await registry.call('GET', 'no/place/tags/list');
    expect([missing.statusCode, codesOf(missing)]).toEqual([404, ['NAME_UNKNOWN']]);
    for (const n of ['-1', 'many', '1.5'])
      expect((await registry.call('GET', `${REPO}/tags/list`, { query: { n } })).statusCode).toBe(400);
  });
});

describe('end-12: referrers', () => {
  interface Descriptor {
    readonly digest: string;
    readonly artifactType?: string;
  }
  const referrers = async (digest: string, query: Record<string, string> = {}) => {
    const answer = await registry.call('GET', `${REPO}/referrers/${digest}`, { query });
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, OCI_INDEX]);
    const index = answer.json<{ schemaVersion: number; mediaType: string; manifests: Descriptor[] }>();
    expect(index).toMatchObject({ schemaVersion: 2, mediaType: OCI_INDEX });
    return { manifests: index.manifests, filters: answer.headers['oci-filters-applied'] };
  };
  const signature = aManifest(EMPTY, [EMPTY], {
    artifactType: 'application/vnd.example.signature',
    subject: aDescriptor(IMAGE),
    annotations: { 'org.example.by': 'somebody' },
  });
  const legacy = aManifest({ ...CONFIG, mediaType: 'application/vnd.example.sbom' }, [], {
    subject: aDescriptor(IMAGE),
  });

  it('are an empty index where there are none, also of what is not there', async () => {
    expect(await referrers(NOWHERE)).toEqual({ manifests: [], filters: undefined });
  });

  it('may come before what they refer to, and OCI-Subject says that they were understood', async () => {
    await registry.push(REPO, EMPTY);
    const answer = await registry.putManifest(REPO, signature.digest, signature);
    expect([answer.statusCode, answer.headers['oci-subject']]).toEqual([201, IMAGE.digest]);
    await registry.pushImage();
    expect((await referrers(IMAGE.digest)).manifests.map(({ digest }) => digest)).toEqual([signature.digest]);
  });

  it('are descriptors with artifact type and annotations; without its own type that of the config counts', async () => {
    await registry.push(REPO, EMPTY, CONFIG);
    for (const each of [signature, legacy]) await registry.putManifest(REPO, each.digest, each);
    const { manifests } = await referrers(IMAGE.digest);
    expect(manifests).toHaveLength(2);
    expect(manifests).toContainEqual({
      ...aDescriptor(signature),
      artifactType: 'application/vnd.example.signature',
      annotations: { 'org.example.by': 'somebody' },
    });
    expect(manifests).toContainEqual({ ...aDescriptor(legacy), artifactType: 'application/vnd.example.sbom' });
  });

  it('come by type where the client asks so, and OCI-Filters-Applied says it', async () => {
    await registry.push(REPO, EMPTY, CONFIG);
    for (const each of [signature, legacy]) await registry.putManifest(REPO, each.digest, each);
    const found = await referrers(IMAGE.digest, { artifactType: 'application/vnd.example.sbom' });
    expect([found.manifests.map(({ digest }) => digest), found.filters]).toEqual([[legacy.digest], 'artifactType']);
    expect(await referrers(IMAGE.digest, { artifactType: 'application/vnd.none' })).toMatchObject({ manifests: [] });
  });

  it('may be indexes, and go when they are deleted', async () => {
    const index = aContent(
      JSON.stringify({
        ...{ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] },
        ...{ artifactType: 'application/vnd.example.list', subject: aDescriptor(IMAGE) },
      }),
      OCI_INDEX,
    );
    await registry.putManifest(REPO, index.digest, index);
    expect((await referrers(IMAGE.digest)).manifests).toEqual([
      { ...aDescriptor(index), artifactType: 'application/vnd.example.list' },
    ]);
    await registry.call('DELETE', `${REPO}/manifests/${index.digest}`);
    expect((await referrers(IMAGE.digest)).manifests).toEqual([]);
  });

  it('come in pages of at most 4 MiB, linked', async () => {
    await registry.push(REPO, EMPTY);
    const all: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      const annotations = { filler: 'x'.repeat(1_000_000), count: String(count) };
      const referrer = aManifest(EMPTY, [], { subject: aDescriptor(IMAGE), annotations });
      expect((await registry.putManifest(REPO, referrer.digest, referrer)).statusCode).toBe(201);
      all.push(referrer.digest);
    }
    const seen: string[] = [];
    let path: string | undefined = `/v2/${REPO}/referrers/${IMAGE.digest}`;
    while (path !== undefined) {
      const answer = await registry.call('GET', path);
      expect(answer.rawPayload.length).toBeLessThan(4 * 1024 * 1024);
      seen.push(...answer.json<{ manifests: Descriptor[] }>().manifests.map(({ digest }) => digest));
      path = /^<(\/v2\/[^>]+)>; rel="next"$/.exec(String(answer.headers.link))?.[1];
    }
    expect(seen.toSorted()).toEqual(all.toSorted());
  });

  it('fail with 400 for what is no digest', async () => {
    const answer = await registry.call('GET', `${REPO}/referrers/v1`);
    expect([answer.statusCode, codesOf(answer)]).toEqual([400, ['DIGEST_INVALID']]);
  });
});
