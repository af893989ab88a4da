// The few files that pages load: named in a table, so that no path from a URL ever reaches the disk.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  'style.css': 'text/css; charset=utf-8',
  'live.js': 'text/javascript; charset=utf-8',
  'logo.svg': 'image/svg+xml',
};

export interface Asset {
  readonly content: Buffer;
  readonly contentType: string;
}

/** The file of this name, or undefined where there is none. */
export async function loadAsset(name: string): Promise<Asset | undefined> {
  const contentType = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
  if (contentType === undefined) return undefined;
  return { content: await readFile(join(import.meta.dirname, 'public', name)), contentType };
}
