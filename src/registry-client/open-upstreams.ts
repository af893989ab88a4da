// The upstreams of the settings, ready to be asked: reads their passwords and CA files, connects to nobody yet.
import { readFile } from 'node:fs/promises';
import type { Clock, Scheduler } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Upstream } from '../images/upstream/upstream-registry.ts';
import type { Settings } from '../settings/schema.ts';
import { openUpstream } from './open-upstream.ts';

export interface OpenedUpstreams {
  readonly upstreams: readonly Upstream[];
  close(): Promise<void>;
}

/** Throws AppError('invalid-settings') where a file cannot be read. */
export async function openUpstreams(
  settings: Settings['images']['upstream'],
  parts: { readonly clock: Clock; readonly scheduler: Scheduler; readonly blobLimitBytes: number },
): Promise<OpenedUpstreams> {
  const opened = await Promise.all(
    settings.map(async ({ url, prefix, username, passwordFile, caFile }) => {
      const password = passwordFile === undefined ? undefined : (await readText('passwordFile', passwordFile)).trim();
      const registry = openUpstream({
        ...parts,
        url,
        ...(password !== undefined && { credentials: { username, password } }),
        ...(caFile !== undefined && { caPem: await readText('caFile', caFile) }),
      });
      return { prefix, registry };
    }),
  );
  const close = async (): Promise<void> => {
    await Promise.all(opened.map(({ registry }) => registry.close()));
  };
  return { upstreams: opened, close };
}

async function readText(key: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AppError(
      'invalid-settings',
      `images.upstream: ${key} cannot be read: ${reason}\nFix: correct the path.`,
      {
        cause,
      },
    );
  }
}
