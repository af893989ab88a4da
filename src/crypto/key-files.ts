// Files that hold secrets: written whole or not at all, never replaced. Knows nothing of what is in them.
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AppError } from '../errors.ts';

export const SECRET_MODE = 0o600;
export const PUBLIC_MODE = 0o644;

/** Makes the folder for its owner alone; one that is there stays as it is. */
export async function createSecretDirectory(path: string): Promise<void> {
  await attempt(`create the folder ${path}`, () => mkdir(path, { recursive: true, mode: 0o700 }));
}

/** The text of a file, or undefined where there is none. A secret that others may read is refused, as ssh does. */
export async function readKeyFile(path: string, mode: number): Promise<string | undefined> {
  return attempt(`read ${path}`, async () => {
    const found = await stat(path).catch(ignoreMissing);
    if (found === undefined) return undefined;
    if (mode === SECRET_MODE && (found.mode & 0o077) !== 0)
      throw new AppError('permission-denied', `${path} can be read by others; run: chmod 600 ${path}`);
    return await readFile(path, 'utf8');
  });
}

/**
 * Puts a new file in place, durably, and returns what is on disk then: where another process was faster, its text. A hard
 * link, unlike a rename, fails where the name is taken, so that no crash and no second process can replace a key.
 */
export async function createKeyFile(path: string, text: string, mode: number): Promise<string> {
  return attempt(`write ${path}`, async () => {
    const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString('hex')}.new`);
    try {
      await writeDurably(temporary, text, mode);
      await link(temporary, path);
      await syncDirectory(dirname(path));
      return text;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      return await readFile(path, 'utf8');
    } finally {
      await unlink(temporary).catch(ignoreMissing);
    }
  });
}

async function writeDurably(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    // The mode given to open() is cut by the umask; a public file is to be public whatever that is.
    await file.chmod(mode);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function attempt<T>(what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const denied = ['EACCES', 'EPERM', 'EROFS'].includes(codeOf(cause));
    throw new AppError(denied ? 'permission-denied' : 'storage-failure', `cannot ${what}: ${String(cause)}`, { cause });
  }
}

function ignoreMissing(error: unknown): undefined {
  if (codeOf(error) === 'ENOENT') return undefined;
  throw error;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
