// Blobs as files named by their digest: <folder>/sha256/ab/abcd…. A file there is whole and synced: it grows under a
// temporary name and is renamed at the end.
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rm, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { BlobEntry, BlobStore, PutOutcome } from '../../images/blob-store.ts';
import { digestParts, parseDigest, type Digest, type DigestAlgorithm } from '../../images/digest.ts';
import { receiveBlob, type ReceivedBlob } from '../receive-blob.ts';
import { blobPath, guarded, publishBlob, syncDirectory, unlessMissing } from './file-operations.ts';

/** Files are served in few large reads: the smaller the chunk, the more turns of the event loop per gigabyte. */
const READ_CHUNK_BYTES = 1024 * 1024;
const ALGORITHMS = ['sha256', 'sha512'] as const satisfies readonly DigestAlgorithm[];

/**
 * Makes the folders and removes what unfinished puts of an earlier run left: one process alone may have them open.
 * AppError 'storage-failure' where it cannot.
 */
export async function openFileBlobStore(directory: string): Promise<BlobStore> {
  return guarded(`The blob folder ${directory} cannot be opened`, async () => {
    await rm(join(directory, 'tmp'), { recursive: true, force: true });
    for (const name of ['tmp', ...ALGORITHMS]) {
      await mkdir(join(directory, name), { recursive: true, mode: 0o700 });
    }
    await syncDirectory(directory);
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
      const received = await receiveFile(temporary, content, limitBytes, digestParts(digest).algorithm);
      if (received.kind === 'too-large') return received;
      if (received.digest !== digest) return { kind: 'digest-mismatch', actual: received.digest };
      await guarded(`Blob ${digest} cannot be stored`, () => publishBlob(this.#directory, digest, temporary));
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

  async *list(): AsyncIterable<BlobEntry> {
    for (const algorithm of ALGORITHMS) {
      for (const folder of await this.#namesIn(algorithm)) {
        for (const hex of await this.#namesIn(join(algorithm, folder))) {
          const digest = parseDigest(`${algorithm}:${hex}`);
          const entry = digest && (await this.#entryOf(digest));
          if (entry !== undefined) yield entry;
        }
      }
    }
  }

  async #entryOf(digest: Digest): Promise<BlobEntry | undefined> {
    return guarded(`Blob ${digest} cannot be looked up`, () =>
      unlessMissing(async () => {
        const { size, mtimeMs } = await stat(this.#pathOf(digest));
        return { digest, sizeBytes: size, storedAt: mtimeMs };
      }, undefined),
    );
  }

  async #namesIn(folder: string): Promise<readonly string[]> {
    return guarded(`The blob folder ${folder} cannot be read`, () =>
      unlessMissing(() => readdir(join(this.#directory, folder)), []),
    );
  }

  #pathOf(digest: Digest): string {
    return blobPath(this.#directory, digest);
  }
}

async function receiveFile(
  path: string,
  content: Readable,
  limitBytes: number,
  algorithm: DigestAlgorithm,
): Promise<ReceivedBlob> {
  const file = await guarded('A blob cannot be stored', () => open(path, 'wx', 0o600));
  try {
    const keep = (chunk: Buffer): Promise<void> => guarded('A blob cannot be stored', () => file.writeFile(chunk));
    const received = await receiveBlob(content, limitBytes, keep, algorithm);
    if (received.kind === 'received') await guarded('A blob cannot be stored', () => file.sync());
    return received;
  } finally {
    await file.close();
  }
}
