import { describe, expect, it } from 'vitest';
import {
  artifactTypeOf,
  neededDescriptors,
  OCI_INDEX_TYPE,
  OCI_MANIFEST_TYPE,
  parseManifest,
  type OciManifest,
} from '../../../../src/images/registry/oci-manifest.ts';
import { aDigest } from '../../../support/domain-builders.ts';

const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
const CONFIG = descriptor('a', 'application/vnd.oci.image.config.v1+json');
const LAYER = descriptor('b', 'application/vnd.oci.image.layer.v1.tar+gzip');
const IMAGE = { schemaVersion: 2, mediaType: OCI_MANIFEST_TYPE, config: CONFIG, layers: [LAYER] };
const INDEX = { schemaVersion: 2, mediaType: OCI_INDEX_TYPE, manifests: [descriptor('c', OCI_MANIFEST_TYPE)] };

function descriptor(digit: string, mediaType: string) {
  return { mediaType, digest: aDigest(digit), size: 10 };
}

function parse(value: unknown, declaredType?: string): ReturnType<typeof parseManifest> {
  return parseManifest(Buffer.from(JSON.stringify(value)), declaredType);
}

function parsed(value: unknown, declaredType?: string): OciManifest {
  const outcome = parse(value, declaredType);
  if (outcome.kind === 'invalid') throw new Error(outcome.reason);
  return outcome.manifest;
}

describe('parseManifest', () => {
  it('takes an image manifest (image-spec, manifest.md)', () => {
    expect(parsed(IMAGE, OCI_MANIFEST_TYPE)).toEqual({
      kind: 'image',
      mediaType: OCI_MANIFEST_TYPE,
      annotations: {},
      config: CONFIG,
      layers: [LAYER],
    });
  });

  it('takes an index, with the platforms of its manifests (image-spec, image-index.md)', () => {
    const platform = { architecture: 'arm64', os: 'linux', variant: 'v8', 'os.features': ['x'] };
    const manifests = [{ ...descriptor('c', OCI_MANIFEST_TYPE), platform }, descriptor('d', OCI_INDEX_TYPE)];
    expect(parsed({ ...INDEX, manifests }).kind === 'index' && parsed({ ...INDEX, manifests })).toMatchObject({
      kind: 'index',
      manifests: [{ platform: { architecture: 'arm64', os: 'linux', variant: 'v8' } }, { mediaType: OCI_INDEX_TYPE }],
    });
  });

  it.each([
    { type: DOCKER_MANIFEST, value: { ...IMAGE, mediaType: DOCKER_MANIFEST }, kind: 'image' },
    { type: DOCKER_LIST, value: { ...INDEX, mediaType: DOCKER_LIST }, kind: 'index' },
  ])("takes Docker's $kind", ({ type, value, kind }) => {
    expect(parsed(value, type)).toMatchObject({ kind, mediaType: type });
  });

  it('takes an artifact: subject, artifactType, empty config, annotations', () => {
    const subject = descriptor('e', OCI_MANIFEST_TYPE);
    const config = descriptor('a', 'application/vnd.oci.empty.v1+json');
    const artifact = { ...IMAGE, config, subject, artifactType: 'application/vnd.sbom', annotations: { key: 'value' } };
    expect(parsed(artifact)).toMatchObject({
      subject,
      artifactType: 'application/vnd.sbom',
      annotations: { key: 'value' },
    });
  });

  it('takes the Content-Type for a manifest that does not say its own type, and the other way round', () => {
    const { mediaType: _, ...untyped } = IMAGE;
    expect(parsed(untyped, OCI_MANIFEST_TYPE)).toMatchObject({ kind: 'image' });
    expect(parsed(IMAGE)).toMatchObject({ kind: 'image' });
    expect(parse(untyped)).toMatchObject({ kind: 'invalid' });
  });

  it('takes null for an empty list, as Go programs write it', () => {
    expect(parsed({ ...IMAGE, layers: null })).toMatchObject({ layers: [] });
    expect(parsed({ ...INDEX, manifests: null })).toMatchObject({ manifests: [] });
  });

  it('takes digests in SHA-512', () => {
    const layers = [{ ...LAYER, digest: `sha512:${'b'.repeat(128)}` }];
    expect(parsed({ ...IMAGE, layers })).toMatchObject({ layers });
  });

  it.each([
    { name: 'that was sent as another type', value: IMAGE, type: DOCKER_MANIFEST },
    { name: 'of an unknown type', value: { ...IMAGE, mediaType: 'text/plain' }, type: 'text/plain' },
    { name: 'of a type that objects have by nature', value: { schemaVersion: 2 }, type: 'toString' },
    { name: 'that is an image and an index (CVE-2021-41190)', value: { ...IMAGE, manifests: [] } },
    { name: 'that is an index with layers (CVE-2021-41190)', value: { ...INDEX, layers: [] } },
    { name: 'that is an index with a config', value: { ...INDEX, config: CONFIG } },
    { name: 'of schema 1', value: { ...IMAGE, schemaVersion: 1 } },
    { name: 'without a config', value: { ...IMAGE, config: undefined } },
    { name: 'without layers', value: { ...IMAGE, layers: undefined } },
    { name: 'with a digest of another kind', value: { ...IMAGE, config: { ...CONFIG, digest: 'md5:00' } } },
    { name: 'with a negative size', value: { ...IMAGE, config: { ...CONFIG, size: -1 } } },
    { name: 'with half a byte', value: { ...IMAGE, config: { ...CONFIG, size: 0.5 } } },
    { name: 'with a media type that is none', value: { ...IMAGE, config: { ...CONFIG, mediaType: 'tar' } } },
    { name: 'with annotations that are no text', value: { ...IMAGE, annotations: { key: 1 } } },
    { name: 'with a subject that is none', value: { ...IMAGE, subject: {} } },
    { name: 'with more parts than anybody needs', value: { ...IMAGE, layers: Array(10_001).fill(LAYER) } },
    { name: 'that is no object', value: [IMAGE], type: OCI_MANIFEST_TYPE },
    { name: 'that is null', value: null, type: OCI_MANIFEST_TYPE },
  ])('refuses one $name', ({ value, type }) => {
    expect(parse(value, type)).toMatchObject({ kind: 'invalid' });
  });

  it.each(['', '{', '\ufeff{}', '"\xff"'])('refuses what is not JSON in UTF-8: %j', (text) => {
    expect(parseManifest(Buffer.from(text, 'latin1'), OCI_MANIFEST_TYPE)).toMatchObject({ kind: 'invalid' });
  });

  it('says where the mistake is', () => {
    const layers = [LAYER, { ...LAYER, size: 'large' }];
    const outcome = parse({ ...IMAGE, layers });
    expect(outcome.kind === 'invalid' && outcome.reason).toContain('layers.1.size');
  });
});

describe('neededDescriptors', () => {
  it('names config and layers, or the manifests of an index', () => {
    expect(neededDescriptors(parsed(IMAGE))).toEqual([CONFIG, LAYER]);
    expect(neededDescriptors(parsed(INDEX))).toEqual(INDEX.manifests);
  });

  it('leaves out layers that clients do not push (image-spec, layer.md "Non-Distributable Layers")', () => {
    const foreign = [
      descriptor('d', 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'),
      descriptor('e', 'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd'),
    ];
    expect(neededDescriptors(parsed({ ...IMAGE, layers: [...foreign, LAYER] }))).toEqual([CONFIG, LAYER]);
  });
});

describe('artifactTypeOf', () => {
  it('is the own type, else the media type of the config (distribution-spec "Listing Referrers")', () => {
    expect(artifactTypeOf(parsed({ ...IMAGE, artifactType: 'application/vnd.sbom' }))).toBe('application/vnd.sbom');
    expect(artifactTypeOf(parsed({ ...IMAGE, artifactType: '' }))).toBe(CONFIG.mediaType);
    expect(artifactTypeOf(parsed(IMAGE))).toBe(CONFIG.mediaType);
    expect(artifactTypeOf(parsed(INDEX))).toBeUndefined();
  });
});
