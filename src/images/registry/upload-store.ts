// PORT. Blobs on their way in: bytes that were acknowledged stay, also over kill -9, until the upload is finished or cancelled.
// Adapters: storage/files, storage/memory; both pass test/contract/upload-store.
import type { Readable } from 'node:stream';
import type { Digest } from '../digest.ts';

export type UploadId = string & { readonly __brand: 'UploadId' };

/** A random UUID (RFC 9562 §5.4), lower case. */
export function parseUploadId(text: string): UploadId | undefined {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text) ? (text as UploadId) : undefined;
}

/** First and last byte, both inclusive. */
export interface ChunkRange {
  readonly start: number;
  readonly end: number;
}

export type CreateOutcome =
  { readonly kind: 'created'; readonly id: UploadId } | { readonly kind: 'too-many'; readonly limit: number };

export type AppendOutcome =
  | { readonly kind: 'appended'; readonly offset: number }
  /** The chunk does not begin where the upload stands, or is not as long as its range says; nothing was taken. */
  | { readonly kind: 'out-of-order'; readonly offset: number }
  | { readonly kind: 'too-large'; readonly limitBytes: number }
  | { readonly kind: 'not-found' };

export type FinishOutcome =
  | { readonly kind: 'stored'; readonly sizeBytes: number }
  | { readonly kind: 'digest-mismatch'; readonly actual: Digest }
  | { readonly kind: 'not-found' };

export interface UploadStore {
  create(repository: string): Promise<CreateOutcome>;
  /** Bytes received so far. */
  status(repository: string, id: UploadId): Promise<{ readonly offset: number } | undefined>;
  /**
   * Appends all of `content` or nothing, and syncs before it answers. With a range, start must equal the offset and the length
   * must be end - start + 1. The upload as a whole may have `limitBytes`. Whatever the outcome, `content` is read to its end and
   * never destroyed. Fails as `content` fails.
   */
  append(
    repository: string,
    id: UploadId,
    content: Readable,
    options: { readonly range?: ChunkRange; readonly limitBytes: number },
  ): Promise<AppendOutcome>;
  /** Verifies the digest and moves the bytes into the blob store; the upload is gone afterwards, whatever came out. */
  finish(repository: string, id: UploadId, digest: Digest): Promise<FinishOutcome>;
  cancel(repository: string, id: UploadId): Promise<boolean>;
  /** Removes uploads that nobody appended to since then (milliseconds since 1970); returns how many went. */
  removeStale(before: number): Promise<number>;
}
