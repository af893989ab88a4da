// What the stores on files do alike: coded failures, missing files as values, names that outlast a power cut.
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from '../../errors.ts';
import { digestParts, type Digest } from '../../images/digest.ts';

/** Turns what the file system says into AppError 'storage-failure'. */
export async function guarded<T>(failure: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof AppError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new AppError('storage-failure', `${failure}: ${reason}.`, { cause: error });
  }
}

export async function unlessMissing<T, U>(action: () => Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return otherwise;
    throw error;
  }
}

export async function syncDirectory(path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    await handle.sync();
  } finally {
    await handle?.close();
  }
}

/** Where the blob folder `directory` has the file of this digest. */
export function blobPath(directory: string, digest: Digest): string {
  const { algorithm, hex } = digestParts(digest);
  return join(directory, algorithm, hex.slice(0, 2), hex);
}

/**
 * Gives a synced file its name as a blob. A rename outlasts a power cut only when the folders that name the file are synced as
 * well.
 */
export async function publishBlob(directory: string, digest: Digest, temporary: string): Promise<void> {
  const path = blobPath(directory, digest);
  const made = await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await rename(temporary, path);
  await syncDirectory(dirname(path));
  if (made !== undefined) await syncDirectory(dirname(dirname(path)));
}
