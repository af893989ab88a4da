// Streams that unpack what initrds are packed with: gzip and zstd by Node's own zlib, the others by their programs.
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Duplex } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import type { OpenDecompressor } from '../images/conversion/scan-initrd.ts';

const PROGRAMS = {
  xz: ['xz', '-dc'],
  lzma: ['xz', '-dc', '--format=lzma'],
  lz4: ['lz4', '-dc'],
  bzip2: ['bzip2', '-dc'],
} as const;

/** Undefined where its program is not on the PATH. Destroying the stream ends the program. */
export const openDecompressor: OpenDecompressor = (compression) => {
  switch (compression) {
    case 'gzip':
      return createGunzip();
    case 'zstd':
      return createZstdDecompress();
    case 'xz':
    case 'lzma':
    case 'lz4':
    case 'bzip2': {
      const [program, ...words] = PROGRAMS[compression];
      return isInstalled(program) ? openProgram(program, words) : undefined;
    }
  }
};

function openProgram(program: string, words: readonly string[]): Duplex {
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'ignore'] });
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  child.once('error', (error) => stream.destroy(error));
  child.once('close', (code) => {
    if (code !== 0) stream.destroy(new Error(`${program} ended with code ${String(code)}`));
  });
  stream.once('close', () => child.kill('SIGKILL'));
  return stream;
}

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
