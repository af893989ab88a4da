// Reads what Muster adds to initrds (boot-assets/initrd), once at the start.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SealAssets } from '../boot/boot-seal.ts';

export async function loadSealAssets(baseDirectory: string): Promise<SealAssets> {
  const text = (name: string): Promise<string> => readFile(join(baseDirectory, 'boot-assets/initrd', name), 'utf8');
  const [script, service, dropIn, tmpfiles] = await Promise.all([
    text('verify-root.sh'),
    text('muster-verify-root.service'),
    text('require-verified-root.conf'),
    text('tmpfiles.conf'),
  ]);
  return { script, service, dropIn, tmpfiles };
}
