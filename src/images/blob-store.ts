// PORT. Bytes named by their digest: loaders, kernels, initrds, squashfs roots. Adapters: storage/files, storage/memory.
// Narrow on purpose, so that an object store can join later.
import type { Readable } from 'node:stream';
import type { Digest } from './digest.ts';

export type PutOutcome =
  | { readonly kind: 'stored' | 'exists'; readonly sizeBytes: number }
  | { readonly kind: 'digest-mismatch'; readonly actual: Digest }
  | { readonly kind: 'too-large'; readonly limitBytes: number };

export interface BlobEntry {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** When its bytes were written, in milliseconds since 1970. */
  readonly storedAt: number;
}

export interface BlobStore {
  /** Size in bytes, or undefined where there is no such blob. */
  size(digest: Digest): Promise<number | undefined>;
  /** Reads `end - start + 1` bytes (both inclusive); the whole blob without a range. Reads in chunks of at least 256 KiB. */
  read(digest: Digest, range?: { readonly start: number; readonly end: number }): Readable;
  /**
   * Streams to a temporary name, syncs, compares the digest, renames: a blob is never half there. Whatever the outcome,
   * `content` is read to its end and never destroyed; what is not wanted is thrown away. Fails as `content` fails.
   */
  put(digest: Digest, content: Readable, limitBytes: number): Promise<PutOutcome>;
  remove(digest: Digest): Promise<boolean>;
  /** Every blob, in no order; one that comes or goes meanwhile may be in it or not. */
  list(): AsyncIterable<BlobEntry>;
}
