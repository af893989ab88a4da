// Uploads as files beside the blobs: uploads/<id>.part has the bytes, uploads/<id>.json says how many of them were acknowledged.
// What stands beyond is the torn rest of an append that was never answered, and is cut off.
import { createHash, randomUUID, type Hash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
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
import { endDigest } from '../digest-bytes.ts';
import { receiveChunk, type ChunkOptions } from '../receive-chunk.ts';
import { blobPath, guarded, publishBlob, syncDirectory, unlessMissing } from './file-operations.ts';
import { loadUploadState, saveUploadState, type UploadState } from './upload-state.ts';

const UPLOAD_LIMIT = 1000;
const READ_CHUNK_BYTES = 1024 * 1024;
const FAILURE = 'An upload cannot be stored';

interface FileUploadParts {
  /** Of the blob store: an upload becomes a blob by its name alone, so both must be on one file system. */
  readonly directory: string;
  readonly clock: Clock;
  readonly uploadLimit?: number;
}

/**
 * Finds the uploads of an earlier run and removes what it left of others: one process alone may have them open. AppError
 * 'storage-failure' where it cannot.
 */
export async function openFileUploadStore(parts: FileUploadParts): Promise<UploadStore> {
  const folder = join(parts.directory, 'uploads');
  return guarded(`The upload folder ${folder} cannot be opened`, async () => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const ids = new Set<UploadId>();
    for (const name of await readdir(folder)) {
      const id = name.endsWith('.json') ? parseUploadId(name.slice(0, -'.json'.length)) : undefined;
      if (id !== undefined && (await isWhole(folder, id))) ids.add(id);
    }
    for (const name of await readdir(folder)) {
      const isNeeded = [...name.matchAll(/^(.+)\.(?:json|part)$/g)].some(([, stem = '']) => {
        const id = parseUploadId(stem);
        return id !== undefined && ids.has(id);
      });
      if (!isNeeded) await rm(join(folder, name), { recursive: true });
    }
    await syncDirectory(parts.directory);
    return new FileUploadStore(parts, folder, ids);
  });
}

class FileUploadStore implements UploadStore {
  readonly #parts: FileUploadParts;
  readonly #folder: string;
  readonly #ids: Set<UploadId>;
  /** SHA-256 so far, of uploads that this run has seen from their beginning; of others the file is read again at the end. */
  readonly #hashes = new Map<UploadId, Hash>();
  readonly #queue = new KeyedQueue();

  constructor(parts: FileUploadParts, folder: string, ids: Set<UploadId>) {
    this.#parts = parts;
    this.#folder = folder;
    this.#ids = ids;
  }

  async create(repository: string): Promise<CreateOutcome> {
    const limit = this.#parts.uploadLimit ?? UPLOAD_LIMIT;
    if (this.#ids.size >= limit) return { kind: 'too-many', limit };
    const id = parseUploadId(randomUUID());
    if (id === undefined) throw new AppError('internal', 'A random UUID is no upload id.');
    this.#ids.add(id);
    try {
      await this.#saveState(id, { repository, offset: 0, touchedAt: this.#parts.clock.now() });
    } catch (error) {
      this.#ids.delete(id);
      throw error;
    }
    this.#hashes.set(id, createHash('sha256'));
    return { kind: 'created', id };
  }

  async status(repository: string, id: UploadId): Promise<{ readonly offset: number } | undefined> {
    const state = await this.#stateOf(repository, id);
    return state && { offset: state.offset };
  }

  append(repository: string, id: UploadId, content: Readable, options: ChunkOptions): Promise<AppendOutcome> {
    return this.#queue.run(id, async () => {
      const state = await this.#stateOf(repository, id);
      if (state === undefined) {
        content.resume();
        return { kind: 'not-found' };
      }
      const file = await guarded(FAILURE, () => openAt(this.#partOf(id), state.offset));
      try {
        return await this.#appendTo(file, id, state, content, options);
      } finally {
        await file.close();
      }
    });
  }

  finish(repository: string, id: UploadId, digest: Digest): Promise<FinishOutcome> {
    return this.#queue.run(id, async () => {
      const state = await this.#stateOf(repository, id);
      if (state === undefined) return { kind: 'not-found' };
      return guarded(FAILURE, async () => {
        await cutAt(this.#partOf(id), state.offset);
        const actual = await this.#digestOf(id, digest);
        if (actual === digest) await this.#publish(id, digest);
        await this.#remove(id);
        return actual === digest ? { kind: 'stored', sizeBytes: state.offset } : { kind: 'digest-mismatch', actual };
      });
    });
  }

  cancel(repository: string, id: UploadId): Promise<boolean> {
    return this.#queue.run(id, async () => {
      if ((await this.#stateOf(repository, id)) === undefined) return false;
      await guarded(FAILURE, () => this.#remove(id));
      return true;
    });
  }

  async removeStale(before: number): Promise<number> {
    let removed = 0;
    for (const id of [...this.#ids]) {
      await this.#queue.run(id, async () => {
        const state = await this.#load(id);
        if (state === undefined || state.touchedAt >= before) return;
        await guarded(FAILURE, () => this.#remove(id));
        removed += 1;
      });
    }
    return removed;
  }

  async #appendTo(
    file: FileHandle,
    id: UploadId,
    state: UploadState,
    content: Readable,
    options: ChunkOptions,
  ): Promise<AppendOutcome> {
    const hash = this.#hashes.get(id)?.copy();
    let isKept = false;
    try {
      const outcome = await receiveChunk(content, state.offset, options, async (chunk) => {
        hash?.update(chunk);
        await guarded(FAILURE, () => file.writeFile(chunk));
      });
      if (outcome.kind !== 'appended') return outcome;
      await guarded(FAILURE, () => file.sync());
      await this.#saveState(id, { ...state, offset: outcome.offset, touchedAt: this.#parts.clock.now() });
      isKept = true;
      if (hash !== undefined) this.#hashes.set(id, hash);
      return outcome;
    } finally {
      if (!isKept) await file.truncate(state.offset);
    }
  }

  async #digestOf(id: UploadId, wanted: Digest): Promise<Digest> {
    const { algorithm } = digestParts(wanted);
    const known = algorithm === 'sha256' ? this.#hashes.get(id) : undefined;
    if (known !== undefined) return endDigest('sha256', known.copy());
    const hash = createHash(algorithm);
    const content: AsyncIterable<Buffer> = createReadStream(this.#partOf(id), { highWaterMark: READ_CHUNK_BYTES });
    for await (const chunk of content) hash.update(chunk);
    return endDigest(algorithm, hash);
  }

  async #publish(id: UploadId, digest: Digest): Promise<void> {
    const known = await unlessMissing(() => stat(blobPath(this.#parts.directory, digest)), undefined);
    if (known === undefined) await publishBlob(this.#parts.directory, digest, this.#partOf(id));
  }

  /** The state goes first: without it the bytes are nobody's, and the next start removes them. */
  async #remove(id: UploadId): Promise<void> {
    this.#ids.delete(id);
    this.#hashes.delete(id);
    await rm(this.#stateFileOf(id), { force: true });
    await rm(this.#partOf(id), { force: true });
  }

  async #stateOf(repository: string, id: UploadId): Promise<UploadState | undefined> {
    if (!this.#ids.has(id)) return undefined;
    const state = await this.#load(id);
    return state?.repository === repository ? state : undefined;
  }

  #load(id: UploadId): Promise<UploadState | undefined> {
    return guarded('An upload cannot be read', () => loadUploadState(this.#stateFileOf(id)));
  }

  #saveState(id: UploadId, state: UploadState): Promise<void> {
    return guarded(FAILURE, () => saveUploadState(this.#stateFileOf(id), state));
  }

  #partOf(id: UploadId): string {
    return join(this.#folder, `${id}.part`);
  }

  #stateFileOf(id: UploadId): string {
    return join(this.#folder, `${id}.json`);
  }
}

/** Whether all the bytes that were acknowledged are there. */
async function isWhole(folder: string, id: UploadId): Promise<boolean> {
  const state = await loadUploadState(join(folder, `${id}.json`));
  const sizeBytes = await unlessMissing(async () => (await stat(join(folder, `${id}.part`))).size, 0);
  return state !== undefined && sizeBytes >= state.offset;
}

/** Open for writing after the first `offset` bytes, which are all that it has. */
async function openAt(path: string, offset: number): Promise<FileHandle> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, 0o600);
  try {
    await file.truncate(offset);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function cutAt(path: string, offset: number): Promise<void> {
  const file = await openAt(path, offset);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
