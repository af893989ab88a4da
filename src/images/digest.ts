// Names of bytes by their content (OCI image-spec, descriptor.md "Digests"). Pure.

export type Digest = string & { readonly __brand: 'Digest' };
export type DigestAlgorithm = 'sha256' | 'sha512';

const PATTERN = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Parses `sha256:<64 lower-case hex>` or `sha512:<128 lower-case hex>`. */
export function parseDigest(text: string): Digest | undefined {
  return PATTERN.test(text) ? (text as Digest) : undefined;
}

/** The two parts of a digest: algorithm and lower-case hex. */
export function digestParts(digest: Digest): { readonly algorithm: DigestAlgorithm; readonly hex: string } {
  return { algorithm: digest.startsWith('sha512:') ? 'sha512' : 'sha256', hex: digest.slice(7) };
}

/** PORT. The digest of these bytes. Adapter: storage/digest-bytes.ts. */
export type DigestBytes = (algorithm: DigestAlgorithm, bytes: Uint8Array) => Digest;
