// A small blob as a whole: manifests and configurations.
import { Buffer } from 'node:buffer';
import type { BlobStore } from '../blob-store.ts';
import type { Digest } from '../digest.ts';

/** So much of a document is read: a registry takes no larger manifest. */
const DOCUMENT_LIMIT_BYTES = 4 * 1024 * 1024;

/** Fails where there is no such blob. */
export async function readBlob(blobs: Pick<BlobStore, 'read'>, digest: Digest): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of blobs.read(digest, { start: 0, end: DOCUMENT_LIMIT_BYTES }))
    if (chunk instanceof Uint8Array) chunks.push(chunk);
  return Buffer.concat(chunks);
}
