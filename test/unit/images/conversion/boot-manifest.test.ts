import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IMAGE_FAMILIES } from '../../../../src/images/boot-image.ts';
import {
  encodeBootConfig,
  encodeBootManifest,
  parseBootConfig,
  parseBootManifest,
  type BootConfig,
} from '../../../../src/images/conversion/boot-manifest.ts';
import { parseManifest } from '../../../../src/images/registry/oci-manifest.ts';
import { aDigest } from '../../../support/domain-builders.ts';
import { sha256 } from '../../../support/service-world.ts';

const config: BootConfig = {
  family: 'kairos',
  commandLine: ['quiet'],
  kernelVersion: '6.12.1',
  os: { id: 'debian', versionId: '12' },
  kairos: { version: 'v4.2.0', flavor: 'hadron' },
  architecture: 'amd64',
};
const parts = {
  config: encodeBootConfig(config, sha256),
  kernel: { digest: aDigest('a'), sizeBytes: 1 },
  initrd: { digest: aDigest('b'), sizeBytes: 2 },
  squashfs: { digest: aDigest('c'), sizeBytes: 3 },
};
const subject = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: aDigest('d'), sizeBytes: 4 };

describe('the boot manifest', () => {
  it('is an OCI manifest with an artifact type and a subject (image-spec, manifest.md "Guidelines for Artifact Usage")', () => {
    const { bytes } = encodeBootManifest({ ...parts, subject }, sha256);
    expect(parseManifest(bytes)).toMatchObject({
      kind: 'parsed',
      manifest: {
        kind: 'image',
        artifactType: 'application/vnd.muster.boot.v1',
        config: { mediaType: 'application/vnd.muster.boot.config.v1+json' },
        layers: [{ size: 1 }, { size: 2 }, { size: 3 }],
        subject: { digest: aDigest('d') },
      },
    });
  });

  it('has the same digest for the same parts, and no date in it', () => {
    const [one, two] = [1, 2].map(() => encodeBootManifest({ ...parts, subject }, sha256));
    expect(one).toEqual(two);
    expect(one?.bytes.toString()).toBe(
      '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",' +
        '"artifactType":"application/vnd.muster.boot.v1",' +
        `"config":{"mediaType":"application/vnd.muster.boot.config.v1+json","digest":"${parts.config.digest}","size":${parts.config.sizeBytes}},` +
        `"layers":[{"mediaType":"application/vnd.muster.boot.kernel","digest":"${aDigest('a')}","size":1},` +
        `{"mediaType":"application/vnd.muster.boot.initrd","digest":"${aDigest('b')}","size":2},` +
        `{"mediaType":"application/vnd.muster.boot.squashfs","digest":"${aDigest('c')}","size":3}],` +
        `"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"${aDigest('d')}","size":4}}`,
    );
  });

  it('is read back as it was written, with and without a subject', () => {
    const read = parseBootManifest(encodeBootManifest({ ...parts, subject }, sha256).bytes);
    const { digest, sizeBytes } = parts.config;
    expect(read).toEqual({ ...parts, config: { digest, sizeBytes }, subject: aDigest('d') });
    expect(parseBootManifest(encodeBootManifest(parts, sha256).bytes)).not.toHaveProperty('subject');
  });

  it('is nothing else: other layers, another order, a missing part', () => {
    const { bytes } = encodeBootManifest(parts, sha256);
    const change = (alter: (text: string) => string) => parseBootManifest(Buffer.from(alter(bytes.toString())));
    expect(change((text) => text.replace('boot.kernel', 'boot.other'))).toBeUndefined();
    expect(change((text) => text.replace('vnd.muster.boot.v1', 'vnd.other'))).toBeUndefined();
    expect(
      change((text) => text.replace(/,\{"mediaType":"application\/vnd.muster.boot.squashfs".*?\}/, '')),
    ).toBeUndefined();
    expect(change((text) => text.slice(1))).toBeUndefined();
    expect(parseBootManifest(Buffer.alloc(100_000, ' '))).toBeUndefined();
  });
});

describe('the boot configuration', () => {
  it('is read back as it was written', () => {
    expect(parseBootConfig(encodeBootConfig(config, sha256).bytes)).toEqual(config);
    for (const family of IMAGE_FAMILIES) {
      const plain = { family, commandLine: [], os: { id: 'linux' }, architecture: 'arm64' };
      expect(parseBootConfig(encodeBootConfig(plain, sha256).bytes)).toEqual(plain);
    }
  });

  it('takes no word that could be more than one, or mean something to a boot loader', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (word) => {
        const parsed = parseBootConfig(Buffer.from(JSON.stringify({ family: 'kairos', commandLine: [word] })));
        expect(parsed !== undefined).toBe(/^[!-#%-~]{1,512}$/.test(word));
      }),
    );
  });
});
