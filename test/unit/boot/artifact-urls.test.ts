import { describe, expect, it } from 'vitest';
import { artifactUrls } from '../../../src/boot/artifact-urls.ts';
import { aDigest } from '../../support/domain-builders.ts';

const IMAGE = {
  kernel: { digest: aDigest('a'), sizeBytes: 1 },
  initrd: { digest: aDigest('b'), sizeBytes: 2 },
  squashfs: { digest: aDigest('c'), sizeBytes: 3 },
};
const sessionUrl = (name: string) => `http://10.0.0.1:8080/boot/token/${name}`;

describe('artifactUrls', () => {
  it('leads to the boot session where there is no cache', () => {
    expect(artifactUrls(IMAGE, { cacheUrl: '', sessionUrl })).toEqual({
      kernelUrl: 'http://10.0.0.1:8080/boot/token/vmlinuz',
      initrdUrl: 'http://10.0.0.1:8080/boot/token/initrd.img',
      squashfsUrl: 'http://10.0.0.1:8080/boot/token/rootfs.squashfs',
    });
  });

  it('leads to the cache by digest, the same for every machine, with the ending that live-boot goes by', () => {
    expect(artifactUrls(IMAGE, { cacheUrl: 'http://cache:80', sessionUrl })).toEqual({
      kernelUrl: `http://cache:80/artifacts/${aDigest('a')}/vmlinuz`,
      initrdUrl: `http://cache:80/artifacts/${aDigest('b')}/initrd.img`,
      squashfsUrl: `http://cache:80/artifacts/${aDigest('c')}/rootfs.squashfs`,
    });
  });
});
