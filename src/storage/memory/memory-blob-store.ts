// Blobs in memory: for tests and for trying things out.
import { Readable } from 'node:stream';
import { AppError } from '../../errors.ts';
import type { BlobEntry, BlobStore, PutOutcome } from '../../images/blob-store.ts';
import { digestParts, type Digest } from '../../images/digest.ts';
import { receiveBlob } from '../receive-blob.ts';

export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<Digest, { readonly bytes: Buffer; readonly storedAt: number }>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  size(digest: Digest): Promise<number | undefined> {
    return Promise.resolve(this.#blobs.get(digest)?.bytes.length);
  }

  read(digest: Digest, range?: { readonly start: number; readonly end: number }): Readable {
    const blob = this.#blobs.get(digest)?.bytes;
    if (blob !== undefined) return Readable.from([blob.subarray(range?.start, range && range.end + 1)]);
    const reader = new Readable();
    return reader.destroy(new AppError('not-found', `There is no blob ${digest}.`));
  }

  async put(digest: Digest, content: Readable, limitBytes: number): Promise<PutOutcome> {
    const chunks: Buffer[] = [];
    const known = this.#blobs.get(digest)?.bytes;
    if (known !== undefined) {
      content.resume();
      return { kind: 'exists', sizeBytes: known.length };
    }
    const keep = (chunk: Buffer): Promise<void> => {
      chunks.push(chunk);
      return Promise.resolve();
    };
    const received = await receiveBlob(content, limitBytes, keep, digestParts(digest).algorithm);
    if (received.kind === 'too-large') return received;
    if (received.digest !== digest) return { kind: 'digest-mismatch', actual: received.digest };
    this.#blobs.set(digest, { bytes: Buffer.concat(chunks), storedAt: this.#now() });
    return { kind: 'stored', sizeBytes: received.sizeBytes };
  }

  remove(digest: Digest): Promise<boolean> {
    return Promise.resolve(this.#blobs.delete(digest));
  }

  async *list(): AsyncIterable<BlobEntry> {
    for (const [digest, { bytes, storedAt }] of this.#blobs) {
      yield await Promise.resolve({ digest, sizeBytes: bytes.length, storedAt });
    }
  }
}
