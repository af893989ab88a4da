// Blobs as files named by their digest: <folder>/sha256/ab/abcd…. A file there is whole and synced: it grows under a
// temporary name and is renamed at the end.
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { AppError } from '../../errors.ts';
import type { BlobStore, PutOutcome } from '../../images/blob-store.ts';
import type { Digest } from '../../images/image.ts';
import { receiveBlob, type ReceivedBlob } from '../receive-blob.ts';

/** Files are served in few large reads: the smaller the chunk, the more turns of the event loop per gigabyte. */
const READ_CHUNK_BYTES = 1024 * 1024;

/**
 * Makes the folders and removes what unfinished uploads of an earlier run left: one process alone may have them open.
 * AppError 'storage-failure' where it cannot.
 */
export async function openFileBlobStore(directory: string): Promise<BlobStore> {
  return guarded(`The blob folder ${directory} cannot be opened`, async () => {
    await rm(join(directory, 'tmp'), { recursive: true, force: true });
    for (const name of ['tmp', 'sha256']) await mkdir(join(directory, name), { recursive: true, mode: 0o700 });
    return new FileBlobStore(directory);
  });
}

class FileBlobStore implements BlobStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async size(digest: Digest): Promise<number | undefined> {
    return guarded(`Blob ${digest} cannot be looked up`, () =>
      unlessMissing(async () => (await stat(this.#pathOf(digest))).size, undefined),
    );
  }

  read(digest: Digest, range?: { readonly start: number; readonly end: number }): Readable {
    return createReadStream(this.#pathOf(digest), { ...range, highWaterMark: READ_CHUNK_BYTES });
  }

  async put(digest: Digest, content: Readable, limitBytes: number): Promise<PutOutcome> {
    const known = await this.size(digest);
    if (known !== undefined) {
      content.resume();
      return { kind: 'exists', sizeBytes: known };
    }
    const temporary = join(this.#directory, 'tmp', randomUUID());
    try {
      const received = await receiveFile(temporary, content, limitBytes);
      if (received.kind === 'too-large') return received;
      if (received.digest !== digest) return { kind: 'digest-mismatch', actual: received.digest };
      await this.#publish(temporary, digest);
      return { kind: 'stored', sizeBytes: received.sizeBytes };
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async remove(digest: Digest): Promise<boolean> {
    return guarded(`Blob ${digest} cannot be removed`, () =>
      unlessMissing(async () => {
        await unlink(this.#pathOf(digest));
        return true;
      }, false),
    );
  }

  /** A rename outlasts a power cut only when the folders that name the file are synced as well. */
  async #publish(temporary: string, digest: Digest): Promise<void> {
    await guarded(`Blob ${digest} cannot be stored`, async () => {
      const path = this.#pathOf(digest);
      const made = await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await rename(temporary, path);
      await syncDirectory(dirname(path));
      if (made !== undefined) await syncDirectory(join(this.#directory, 'sha256'));
    });
  }

  #pathOf(digest: Digest): string {
    const hex = digest.slice('sha256:'.length);
    return join(this.#directory, 'sha256', hex.slice(0, 2), hex);
  }
}

async function receiveFile(path: string, content: Readable, limitBytes: number): Promise<ReceivedBlob> {
  const file = await guarded('A blob cannot be stored', () => open(path, 'wx', 0o600));
  try {
    const received = await receiveBlob(content, limitBytes, (chunk) =>
      guarded('A blob cannot be stored', () => file.writeFile(chunk)),
    );
    if (received.kind === 'received') await guarded('A blob cannot be stored', () => file.sync());
    return received;
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    await handle.sync();
  } finally {
    await handle?.close();
  }
}

/** Turns what the file system says into a coded failure. */
async function guarded<T>(failure: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AppError('storage-failure', `${failure}: ${reason}.`, { cause: error });
  }
}

async function unlessMissing<T>(action: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return otherwise;
    throw error;
  }
}
