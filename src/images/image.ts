// An image is what a machine boots: kernel, initrd and squashfs root, each named by digest. Pure types.

export type Digest = string & { readonly __brand: 'Digest' };

/** Parses `sha256:<64 lower-case hex>`. */
export function parseDigest(text: string): Digest | undefined {
  return /^sha256:[0-9a-f]{64}$/.test(text) ? (text as Digest) : undefined;
}

/** Names as in OCI repositories, without a registry: `debian-12`, `fleet/os`. */
export const IMAGE_NAME_PATTERN = /^[a-z0-9]+(?:[._-][a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-][a-z0-9]+)*)*$/;

export interface ImagePart {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface Image {
  readonly name: string;
  /** How the initrd finds its root: the family decides the kernel command line. */
  readonly family: 'dracut-livenet';
  readonly kernel: ImagePart;
  readonly initrd: ImagePart;
  readonly squashfs: ImagePart;
  /** Words that this image needs on its command line beside the family's. */
  readonly commandLine: readonly string[];
  readonly createdAt: number;
}
