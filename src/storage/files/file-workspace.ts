// Work folders as folders on disk, beside the blobs: what is worth keeping is renamed into the blob store.
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError } from '../../errors.ts';
import { parseDigest, type Digest } from '../../images/digest.ts';
import type { WorkFile, WorkFolder, Workspace } from '../../images/conversion/workspace.ts';
import { guarded, publishBlob } from './file-operations.ts';

const CHUNK_BYTES = 1024 * 1024;

/**
 * Makes `directory` and removes what an earlier process left in it: one process alone may have it open. `blobDirectory` is the blob
 * store's, on the same file system.
 */
export async function openFileWorkspace(directory: string, blobDirectory: string): Promise<Workspace> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return {
    open: async () => {
      const folder = join(directory, randomUUID());
      await mkdir(folder, { mode: 0o700 });
      return workFolderAt(folder, blobDirectory);
    },
  };
}

/** A folder that is there already, for another thread that works in it. */
export function workFolderAt(folder: string, blobDirectory: string): WorkFolder {
  return new FileWorkFolder(folder, blobDirectory);
}

class FileWorkFolder implements WorkFolder {
  readonly #folder: string;
  readonly #blobDirectory: string;

  constructor(folder: string, blobDirectory: string) {
    this.#folder = folder;
    this.#blobDirectory = blobDirectory;
  }

  pathOf(name: string): string {
    return join(this.#folder, name);
  }

  async write(name: string, content: Readable, limitBytes: number): Promise<WorkFile | undefined> {
    const counted = new HashingStream(limitBytes);
    const target = createWriteStream(this.pathOf(name), { flags: 'wx', mode: 0o600, highWaterMark: CHUNK_BYTES });
    try {
      await pipeline(content, counted, target);
      return counted.result();
    } catch (error) {
      if (counted.isTooLong) return undefined;
      throw error;
    }
  }

  read(name: string): Readable {
    return createReadStream(this.pathOf(name), { highWaterMark: CHUNK_BYTES });
  }

  async keep(name: string, digest: Digest): Promise<void> {
    const path = this.pathOf(name);
    await guarded(`Blob ${digest} cannot be stored`, async () => {
      const file = await open(path, 'r');
      try {
        await file.sync();
      } finally {
        await file.close();
      }
      await publishBlob(this.#blobDirectory, digest, path);
    });
  }

  async measure(name: string, onBytes: (bytes: number) => void): Promise<WorkFile> {
    // One buffer for all of it: a new one for each piece would be much of the memory that a conversion takes.
    const piece = Buffer.allocUnsafe(CHUNK_BYTES);
    const hash = createHash('sha256');
    let sizeBytes = 0;
    const file = await open(this.pathOf(name), 'r');
    try {
      for (;;) {
        const { bytesRead } = await file.read(piece, 0, piece.length, sizeBytes);
        if (bytesRead === 0) return { digest: digestOf(hash.digest('hex')), sizeBytes };
        hash.update(piece.subarray(0, bytesRead));
        sizeBytes += bytesRead;
        onBytes(sizeBytes);
      }
    } finally {
      await file.close();
    }
  }

  async discard(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

class HashingStream extends Transform {
  readonly #hash = createHash('sha256');
  readonly #limitBytes: number;
  #sizeBytes = 0;

  constructor(limitBytes: number) {
    super({ highWaterMark: CHUNK_BYTES });
    this.#limitBytes = limitBytes;
  }

  get isTooLong(): boolean {
    return this.#sizeBytes > this.#limitBytes;
  }

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null, chunk?: Buffer) => void,
  ): void {
    this.#sizeBytes += chunk.length;
    if (this.isTooLong) {
      done(new Error(`longer than ${this.#limitBytes} bytes`));
      return;
    }
    this.#hash.update(chunk);
    done(null, chunk);
  }

  result(): WorkFile {
    return { digest: digestOf(this.#hash.digest('hex')), sizeBytes: this.#sizeBytes };
  }
}

function digestOf(hex: string): Digest {
  const digest = parseDigest(`sha256:${hex}`);
  if (digest === undefined) throw new AppError('internal', `SHA-256 gave ${hex}.`);
  return digest;
}
