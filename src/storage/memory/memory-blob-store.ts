// Blobs in memory: for tests and for trying things out.
import { Readable } from 'node:stream';
import { AppError } from '../../errors.ts';
import type { BlobStore, PutOutcome } from '../../images/blob-store.ts';
import type { Digest } from '../../images/image.ts';
import { receiveBlob } from '../receive-blob.ts';

export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<Digest, Buffer>();

  size(digest: Digest): Promise<number | undefined> {
    return Promise.resolve(this.#blobs.get(digest)?.length);
  }

  read(digest: Digest, range?: { readonly start: number; readonly end: number }): Readable {
    const blob = this.#blobs.get(digest);
    if (blob !== undefined) return Readable.from([blob.subarray(range?.start, range && range.end + 1)]);
    const reader = new Readable();
    return reader.destroy(new AppError('not-found', `There is no blob ${digest}.`));
  }

  async put(digest: Digest, content: Readable, limitBytes: number): Promise<PutOutcome> {
    const chunks: Buffer[] = [];
    const known = this.#blobs.get(digest);
    if (known !== undefined) {
      content.resume();
      return { kind: 'exists', sizeBytes: known.length };
    }
    const received = await receiveBlob(content, limitBytes, (chunk) => {
      chunks.push(chunk);
      return Promise.resolve();
    });
    if (received.kind === 'too-large') return received;
    if (received.digest !== digest) return { kind: 'digest-mismatch', actual: received.digest };
    this.#blobs.set(digest, Buffer.concat(chunks));
    return { kind: 'stored', sizeBytes: received.sizeBytes };
  }

  remove(digest: Digest): Promise<boolean> {
    return Promise.resolve(this.#blobs.delete(digest));
  }
}
