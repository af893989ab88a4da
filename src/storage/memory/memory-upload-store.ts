// Uploads in memory: for tests and for trying things out.
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { BlobStore } from '../../images/blob-store.ts';
import { digestParts, type Digest } from '../../images/digest.ts';
import {
  parseUploadId,
  type AppendOutcome,
  type CreateOutcome,
  type FinishOutcome,
  type UploadId,
  type UploadStore,
} from '../../images/registry/upload-store.ts';
import { KeyedQueue } from '../../keyed-queue.ts';
import { digestBytes } from '../digest-bytes.ts';
import { receiveChunk, type ChunkOptions } from '../receive-chunk.ts';

interface Upload {
  readonly repository: string;
  readonly bytes: Buffer;
  readonly touchedAt: number;
}

interface MemoryUploadParts {
  readonly blobs: Pick<BlobStore, 'put'>;
  readonly clock: Clock;
  readonly uploadLimit?: number;
}

export class MemoryUploadStore implements UploadStore {
  readonly #parts: MemoryUploadParts;
  readonly #uploads = new Map<UploadId, Upload>();
  readonly #queue = new KeyedQueue();

  constructor(parts: MemoryUploadParts) {
    this.#parts = parts;
  }

  create(repository: string): Promise<CreateOutcome> {
    const limit = this.#parts.uploadLimit ?? 1000;
    if (this.#uploads.size >= limit) return Promise.resolve({ kind: 'too-many', limit });
    const id = parseUploadId(randomUUID());
    if (id === undefined) throw new AppError('internal', 'A random UUID is no upload id.');
    this.#uploads.set(id, { repository, bytes: Buffer.alloc(0), touchedAt: this.#parts.clock.now() });
    return Promise.resolve({ kind: 'created', id });
  }

  status(repository: string, id: UploadId): Promise<{ readonly offset: number } | undefined> {
    const upload = this.#find(repository, id);
    return Promise.resolve(upload && { offset: upload.bytes.length });
  }

  append(repository: string, id: UploadId, content: Readable, options: ChunkOptions): Promise<AppendOutcome> {
    return this.#queue.run(id, async () => {
      const upload = this.#find(repository, id);
      if (upload === undefined) {
        content.resume();
        return { kind: 'not-found' };
      }
      const chunks = [upload.bytes];
      const outcome = await receiveChunk(content, upload.bytes.length, options, (chunk) => {
        chunks.push(chunk);
        return Promise.resolve();
      });
      if (outcome.kind === 'appended') {
        this.#uploads.set(id, { repository, bytes: Buffer.concat(chunks), touchedAt: this.#parts.clock.now() });
      }
      return outcome;
    });
  }

  finish(repository: string, id: UploadId, digest: Digest): Promise<FinishOutcome> {
    return this.#queue.run(id, async () => {
      const upload = this.#find(repository, id);
      if (upload === undefined) return { kind: 'not-found' };
      this.#uploads.delete(id);
      const actual = digestBytes(digestParts(digest).algorithm, upload.bytes);
      if (actual !== digest) return { kind: 'digest-mismatch', actual };
      const sizeBytes = upload.bytes.length;
      await this.#parts.blobs.put(digest, Readable.from([upload.bytes]), sizeBytes);
      return { kind: 'stored', sizeBytes };
    });
  }

  cancel(repository: string, id: UploadId): Promise<boolean> {
    return this.#queue.run(id, () =>
      Promise.resolve(this.#find(repository, id) !== undefined && this.#uploads.delete(id)),
    );
  }

  removeStale(before: number): Promise<number> {
    const stale = [...this.#uploads].filter(([, { touchedAt }]) => touchedAt < before);
    for (const [id] of stale) this.#uploads.delete(id);
    return Promise.resolve(stale.length);
  }

  #find(repository: string, id: UploadId): Upload | undefined {
    const upload = this.#uploads.get(id);
    return upload?.repository === repository ? upload : undefined;
  }
}
