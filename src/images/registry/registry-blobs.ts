// Blobs of the registry: look-up, upload life cycle, mount and delete (distribution-spec "Pushing Blobs", "Deleting Blobs").
import type { Readable } from 'node:stream';
import type { Clock } from '../../clock.ts';
import type { BlobStore } from '../blob-store.ts';
import { parseDigest, type Digest } from '../digest.ts';
import type { RegistryLocks } from './registry-locks.ts';
import { invalidDigest, refuseName } from './registry-names.ts';
import {
  refused,
  tooLarge,
  type Deleted,
  type FoundBlob,
  type Refused,
  type StoredBlob,
  type UploadAppended,
  type UploadStarted,
} from './registry-outcome.ts';
import type { RegistryStore } from './registry-store.ts';
import { parseUploadId, type ChunkRange, type UploadId, type UploadStore } from './upload-store.ts';

interface BlobParts {
  readonly store: RegistryStore;
  readonly blobs: BlobStore;
  readonly uploads: UploadStore;
  readonly clock: Clock;
  readonly locks: RegistryLocks;
  readonly limits: { readonly blobBytes: number };
}

type OutOfOrder = Exclude<UploadAppended, { kind: 'appended' }>;

export class RegistryBlobs {
  readonly #parts: BlobParts;

  constructor(parts: BlobParts) {
    this.#parts = parts;
  }

  async get(repository: string, digestText: string): Promise<FoundBlob | Refused> {
    const refusal = refuseName(repository);
    if (refusal !== undefined) return refusal;
    const digest = parseDigest(digestText);
    if (digest === undefined) return invalidDigest();
    if (!(await this.#parts.store.hasBlob(repository, digest))) return unknownBlob();
    const sizeBytes = await this.#parts.blobs.size(digest);
    return sizeBytes === undefined ? unknownBlob() : { kind: 'found', digest, sizeBytes };
  }

  async head(repository: string, digestText: string): Promise<FoundBlob | Refused> {
    const found = await this.get(repository, digestText);
    if (found.kind === 'refused') return found;
    const { store, clock, locks } = this.#parts;
    return locks.withGraph(async () => {
      if (!(await store.hasBlob(repository, found.digest))) return unknownBlob();
      await store.linkBlob(repository, found.digest, clock.now());
      return found;
    });
  }

  async delete(repository: string, digestText: string): Promise<Deleted | Refused> {
    const refusal = refuseName(repository);
    if (refusal !== undefined) return refusal;
    const digest = parseDigest(digestText);
    if (digest === undefined) return invalidDigest();
    const { store, locks } = this.#parts;
    return locks.withGraph(async () => {
      if (await store.isReferenced(repository, digest)) {
        return refused('UNSUPPORTED', 'A manifest of this repository needs the blob; delete that first.');
      }
      return (await store.unlinkBlob(repository, digest)) ? ({ kind: 'deleted' } as const) : unknownBlob();
    });
  }

  async put(blob: {
    readonly repository: string;
    readonly digest: string;
    readonly content: Readable;
  }): Promise<StoredBlob | Refused> {
    surviveErrors(blob.content);
    const digest = parseDigest(blob.digest);
    const started = digest === undefined ? invalidDigest() : await this.start({ repository: blob.repository });
    if (started.kind !== 'started') {
      blob.content.resume();
      return started.kind === 'refused' ? started : unknownUpload();
    }
    try {
      const stored = await this.finish({ ...blob, id: started.id });
      return stored.kind === 'out-of-order' ? unknownUpload() : stored;
    } finally {
      // What came to its end is gone already.
      await this.#parts.uploads.cancel(blob.repository, started.id);
    }
  }

  /** File first, link second, as with an upload. */
  adopt(repository: string, digest: Digest, publish: () => Promise<void>): Promise<void> {
    const { store, clock, locks } = this.#parts;
    return locks.withDigest(digest, async () => {
      await publish();
      await locks.withGraph(() => store.linkBlob(repository, digest, clock.now()));
    });
  }

  async start(start: {
    readonly repository: string;
    readonly mount?: string;
    readonly from?: string;
  }): Promise<UploadStarted | Refused> {
    const refusal = refuseName(start.repository);
    if (refusal !== undefined) return refusal;
    if (start.mount !== undefined) {
      const digest = parseDigest(start.mount);
      if (digest === undefined) return invalidDigest();
      if (await this.#mount(start.repository, digest, start.from)) return { kind: 'mounted', digest };
    }
    const created = await this.#parts.uploads.create(start.repository);
    if (created.kind === 'created') return { kind: 'started', id: created.id };
    return refused('TOOMANYREQUESTS', `There are ${created.limit} unfinished uploads already.`);
  }

  async status(
    repository: string,
    idText: string,
  ): Promise<{ readonly kind: 'found'; readonly offset: number } | Refused> {
    const id = parseUploadId(idText);
    const status = id && (await this.#parts.uploads.status(repository, id));
    return status === undefined ? unknownUpload() : { kind: 'found', offset: status.offset };
  }

  async append(chunk: {
    readonly repository: string;
    readonly id: string;
    readonly content: Readable;
    readonly range?: ChunkRange;
  }): Promise<UploadAppended | Refused> {
    surviveErrors(chunk.content);
    const id = parseUploadId(chunk.id);
    if (id === undefined) {
      chunk.content.resume();
      return unknownUpload();
    }
    const limitBytes = this.#parts.limits.blobBytes;
    const options = { limitBytes, ...(chunk.range !== undefined && { range: chunk.range }) };
    const outcome = await this.#parts.uploads.append(chunk.repository, id, chunk.content, options);
    switch (outcome.kind) {
      case 'appended':
      case 'out-of-order':
        return outcome;
      case 'too-large':
        return tooLarge('SIZE_INVALID', outcome.limitBytes);
      case 'not-found':
        return unknownUpload();
    }
  }

  async finish(end: {
    readonly repository: string;
    readonly id: string;
    readonly digest: string;
    readonly content?: Readable;
    readonly range?: ChunkRange;
  }): Promise<StoredBlob | OutOfOrder | Refused> {
    const { content } = end;
    const id = parseUploadId(end.id);
    const digest = parseDigest(end.digest);
    if (id === undefined || digest === undefined) {
      if (content !== undefined) surviveErrors(content).resume();
      return id === undefined ? unknownUpload() : invalidDigest();
    }
    if (content !== undefined) {
      const appended = await this.append({ ...end, content });
      if (appended.kind !== 'appended') return appended;
    }
    return this.#parts.locks.withDigest(digest, () => this.#publish(end.repository, id, digest));
  }

  async cancel(repository: string, idText: string): Promise<Deleted | Refused> {
    const id = parseUploadId(idText);
    const cancelled = id !== undefined && (await this.#parts.uploads.cancel(repository, id));
    return cancelled ? { kind: 'deleted' } : unknownUpload();
  }

  /** File first, link second: what is linked can be read. */
  async #publish(repository: string, id: UploadId, digest: Digest): Promise<StoredBlob | Refused> {
    const { uploads, store, clock, locks } = this.#parts;
    const outcome = await uploads.finish(repository, id, digest);
    switch (outcome.kind) {
      case 'stored':
        await locks.withGraph(() => store.linkBlob(repository, digest, clock.now()));
        return { kind: 'stored', digest, sizeBytes: outcome.sizeBytes };
      case 'digest-mismatch':
        return refused('DIGEST_INVALID', `The bytes that came have the digest ${outcome.actual}.`);
      case 'not-found':
        return unknownUpload();
    }
  }

  /** A link beside those that there are: not a byte is copied. */
  #mount(repository: string, digest: Digest, from: string | undefined): Promise<boolean> {
    const { store, clock, locks } = this.#parts;
    return locks.withGraph(async () => {
      const isThere =
        from === undefined
          ? (await store.repositoriesOf(digest)).length > 0
          : (await store.hasBlob(from, digest)) || (await store.hasBlob(repository, digest));
      if (isThere) await store.linkBlob(repository, digest, clock.now());
      return isThere;
    });
  }
}

/** A stream may fail while nobody reads it yet; whoever reads it later hears of it all the same. */
function surviveErrors(content: Readable): Readable {
  return content.on('error', () => undefined);
}

function unknownBlob(): Refused {
  return refused('BLOB_UNKNOWN', 'The repository has no such blob.');
}

function unknownUpload(): Refused {
  return refused('BLOB_UPLOAD_UNKNOWN', 'There is no such upload: it ended, was cancelled or took too long.');
}
