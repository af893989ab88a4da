// What the registry answers: each operation gives a value, and each refusal has a code of the distribution-spec ("Error Codes").
// Pure types.
import type { Digest } from '../digest.ts';
import type { ManifestRecord } from './registry-store.ts';
import type { UploadId } from './upload-store.ts';

export type OciErrorCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'UNAUTHORIZED'
  | 'DENIED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS';

export interface Refused {
  readonly kind: 'refused';
  readonly code: OciErrorCode;
  readonly message: string;
  /** Set where the content is larger than this: HTTP says 413. */
  readonly limitBytes?: number;
}

export function refused(code: OciErrorCode, message: string): Refused {
  return { kind: 'refused', code, message };
}

export function tooLarge(code: OciErrorCode, limitBytes: number): Refused {
  return { kind: 'refused', code, message: `At most ${limitBytes} bytes are taken.`, limitBytes };
}

export interface FoundManifest {
  readonly kind: 'found';
  readonly record: ManifestRecord;
}

/** The bytes as they were pushed. */
export interface FoundManifestContent extends FoundManifest {
  readonly bytes: Buffer;
}

export interface StoredManifest {
  readonly kind: 'stored';
  readonly record: ManifestRecord;
  /** Tags that name it since this push. */
  readonly tags: readonly string[];
}

export interface FoundBlob {
  readonly kind: 'found';
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface StoredBlob {
  readonly kind: 'stored';
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export type UploadStarted =
  | { readonly kind: 'started'; readonly id: UploadId }
  /** The blob is there already and belongs to this repository now as well. */
  | { readonly kind: 'mounted'; readonly digest: Digest };

export type UploadAppended =
  | { readonly kind: 'appended'; readonly offset: number }
  /** Nothing was taken; go on at `offset`. HTTP says 416. */
  | { readonly kind: 'out-of-order'; readonly offset: number };

export interface Deleted {
  readonly kind: 'deleted';
}

/** A part of a sorted list; `next` is the `after` of the page that follows. */
export interface Page<T> {
  readonly kind: 'page';
  readonly items: readonly T[];
  readonly next?: string;
}

export interface PageRequest {
  readonly after?: string;
  readonly limit?: number;
}

export interface CollectionReport {
  /** What was removed, or would be. */
  readonly digests: readonly Digest[];
  readonly sizeBytes: number;
  /** Uploads that nobody went on with. */
  readonly staleUploads: number;
}
