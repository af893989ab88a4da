import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { buildTokenInitrd } from '../../../src/boot/build-token-initrd.ts';

const TOKEN = 'eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiJ0b2tfYSJ9.c2lnbmF0dXJl';

/** What a program writes when these bytes are its standard input. */
function pipe(input: Uint8Array, command: string, args: readonly string[]): string {
  return execFileSync(command, args, { input, encoding: 'utf8' });
}

describe('buildTokenInitrd', () => {
  it('lists every parent, root as owner, secrets closed, as cpio reads it', () => {
    const rows = pipe(gunzipSync(buildTokenInitrd(TOKEN)), 'cpio', ['-tvn', '--quiet'])
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/));
    expect(rows.map(([mode, , uid, gid]) => `${mode} ${uid}:${gid}`)).toEqual([
      'drwx------ 0:0',
      '-rw------- 0:0',
      'drwxr-xr-x 0:0',
      'drwxr-xr-x 0:0',
      'drwxr-xr-x 0:0',
      '-rw-r--r-- 0:0',
    ]);
    expect(rows.map((row) => row.at(-1))).toEqual([
      'muster',
      'muster/token',
      'usr',
      'usr/lib',
      'usr/lib/tmpfiles.d',
      'usr/lib/tmpfiles.d/muster.conf',
    ]);
  });

  it('unpacks with the real cpio to the token and the tmpfiles.d rule, modes as promised', () => {
    const folder = mkdtempSync(join(tmpdir(), 'muster-test-'));
    try {
      const unpack = ['-im', '--quiet', '--no-absolute-filenames', '--no-preserve-owner', '-D', folder];
      pipe(gunzipSync(buildTokenInitrd(TOKEN)), 'cpio', unpack);
      const mode = (path: string): string => (statSync(join(folder, path)).mode & 0o7777).toString(8);
      expect([mode('muster'), mode('muster/token'), mode('usr/lib/tmpfiles.d/muster.conf')]).toEqual([
        '700',
        '600',
        '644',
      ]);
      expect(readdirSync(folder).sort()).toEqual(['muster', 'usr']);
      expect(readFileSync(join(folder, 'muster/token'), 'utf8')).toBe(`${TOKEN}\n`);
      expect(readFileSync(join(folder, 'usr/lib/tmpfiles.d/muster.conf'), 'utf8')).toBe(
        'd /run/muster 0700 root root -\nC /run/muster/token 0600 root root - /muster/token\n',
      );
      expect(statSync(join(folder, 'muster/token')).mtimeMs).toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('is a gzip file to gzip, without a time in its header (RFC 1952 §2.3.1)', () => {
    const bytes = buildTokenInitrd(TOKEN);
    expect(() => pipe(bytes, 'gzip', ['-t'])).not.toThrow();
    expect([...bytes.subarray(0, 8)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
  });

  it('is the same for the same token, and keeps every entry on 4 bytes, as the kernel demands', () => {
    expect(buildTokenInitrd(TOKEN)).toEqual(buildTokenInitrd(TOKEN));
    for (const token of ['', 'a', 'ab', 'abc']) {
      const archive = gunzipSync(buildTokenInitrd(token));
      expect(archive.length % 4).toBe(0);
      for (let at = archive.indexOf('070701'); at !== -1; at = archive.indexOf('070701', at + 1))
        expect(at % 4).toBe(0);
    }
  });
});
