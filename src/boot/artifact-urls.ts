// Where a machine fetches kernel, initrd and root file system: below its boot session, or by digest from a cache that all
// machines share. Pure.
import type { BootImage } from '../images/boot-image.ts';

export interface ArtifactUrls {
  readonly kernelUrl: string;
  readonly initrdUrl: string;
  /** Ends in `.squashfs`: live-boot goes by the ending. */
  readonly squashfsUrl: string;
}

/**
 * `cacheUrl` is the setting `http.artifactsUrl`, without a slash at its end; empty where there is no cache. The file's name behind
 * the digest is for those who go by endings, and for people who read logs.
 */
export function artifactUrls(
  image: Pick<BootImage, 'kernel' | 'initrd' | 'squashfs'>,
  where: { readonly cacheUrl: string; readonly sessionUrl: (name: string) => string },
): ArtifactUrls {
  const urlOf = (part: keyof typeof image, name: string): string =>
    where.cacheUrl === '' ? where.sessionUrl(name) : `${where.cacheUrl}/artifacts/${image[part].digest}/${name}`;
  return {
    kernelUrl: urlOf('kernel', 'vmlinuz'),
    initrdUrl: urlOf('initrd', 'initrd.img'),
    squashfsUrl: urlOf('squashfs', 'rootfs.squashfs'),
  };
}
