// What is in the folder of a server's data: whether each blob is what its name says, and whether anything was left behind that
// should have been temporary.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const BLOB = /^blobs\/(sha256|sha512)\/([0-9a-f]{2})\/(\2[0-9a-f]+)$/;
/** An upload that its client may still go on with. */
const UPLOAD = /^blobs\/uploads\/[0-9a-f-]{36}\.(?:part|json)$/;

export interface DataFolder {
  /** `sha256:…` */
  readonly blobs: ReadonlySet<string>;
  readonly uploads: number;
  /** One sentence each. */
  readonly broken: readonly string[];
}

/** What the server was in the middle of when it was killed. */
export function readUnfinished(folder: string): Readonly<Record<'uploads' | 'puts' | 'conversions', boolean>> {
  const hasFiles = (name: string): boolean => readdirSync(join(folder, 'blobs', name)).length > 0;
  return { uploads: hasFiles('uploads'), puts: hasFiles('tmp'), conversions: hasFiles('conversion') };
}

export function readDataFolder(folder: string): DataFolder {
  const blobs = new Set<string>();
  const broken: string[] = [];
  let uploads = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(folder.length + 1);
    const [, algorithm, , hex] = BLOB.exec(name) ?? [];
    if (algorithm !== undefined && hex !== undefined) {
      blobs.add(`${algorithm}:${hex}`);
      const actual = createHash(algorithm).update(readFileSync(path)).digest('hex');
      if (actual !== hex) broken.push(`${name} has other bytes than its name says`);
    } else if (UPLOAD.test(name)) uploads += name.endsWith('.json') ? 1 : 0;
    else if (name.includes('/') && !name.startsWith('keys/')) broken.push(`${name} was left behind`);
  }
  return { blobs, uploads, broken };
}
