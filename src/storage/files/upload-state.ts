// The small file beside an upload's bytes: whose it is, and how many bytes were acknowledged. Replaced whole, never half there.
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { syncDirectory, unlessMissing } from './file-operations.ts';

const uploadState = z.strictObject({
  repository: z.string(),
  /** Bytes that were acknowledged. */
  offset: z.int().nonnegative(),
  touchedAt: z.number(),
});

export type UploadState = Readonly<z.output<typeof uploadState>>;

/** Undefined where there is none, or not one that this program wrote. */
export async function loadUploadState(path: string): Promise<UploadState | undefined> {
  const text = await unlessMissing(() => readFile(path, 'utf8'), '');
  try {
    return uploadState.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Outlasts a power cut once this has ended, if any byte was acknowledged: an upload that has none is no loss. */
export async function saveUploadState(path: string, state: UploadState): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify(state));
    if (state.offset > 0) await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  if (state.offset > 0) await syncDirectory(dirname(path));
}
