// Initrds made by hand: cpio archives (newc) as the kernel reads them, from names alone. Independent of the product's own code.
import { spawnSync } from 'node:child_process';
import { gzipSync, zstdCompressSync } from 'node:zlib';

/** One archive with its trailer; each file has `contentBytes` bytes. */
export function aCpio(names: readonly string[], contentBytes = 5): Buffer {
  const entries = [...names.map((name) => entryOf(name, Buffer.alloc(contentBytes, 'x')))];
  return Buffer.concat([...entries, entryOf('TRAILER!!!', Buffer.alloc(0))]);
}

/** What comes before the real initrd on most PCs: an uncompressed archive, filled up with zeros. */
export function aMicrocode(): Buffer {
  const archive = aCpio(['kernel/x86/microcode/GenuineIntel.bin'], 1000);
  return Buffer.concat([archive, Buffer.alloc(512 - (archive.length % 512))]);
}

export const PACKERS = {
  none: (bytes: Buffer) => bytes,
  gzip: (bytes: Buffer) => gzipSync(bytes),
  zstd: (bytes: Buffer) => zstdCompressSync(bytes),
  xz: (bytes: Buffer) => spawnSync('xz', ['-c', '--check=crc32'], { input: bytes }).stdout,
} as const;

export const DRACUT_NAMES = [
  'usr/lib/dracut/hooks/cmdline/29-parse-livenet.sh',
  'usr/sbin/livenetroot',
  'usr/sbin/dmsquash-live-root',
];

export function aDracutInitrd(): Buffer {
  return Buffer.concat([aMicrocode(), PACKERS.gzip(aCpio(DRACUT_NAMES))]);
}

function entryOf(name: string, content: Buffer): Buffer {
  const fields = [1, 0o100644, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.from(`${header}${name}\0`, 'latin1')), padded(content)]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
