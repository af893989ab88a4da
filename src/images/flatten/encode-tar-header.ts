// Headers of the one tar that comes out, as sqfstar 4.5 reads them: ustar, with pax records only where ustar has no room.
// The same inode always gives the same bytes. No user or group names: sqfstar would look them up on this host.
import type { Inode } from './file-tree.ts';
import { encodePaxRecords, type PaxRecord } from './pax-records.ts';
import { BLOCK_BYTES } from './tar-header.ts';

const TYPE_FLAGS = {
  file: '0',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
} as const;

const MAX_NAME_BYTES = 100;
/** Seven and eleven octal digits. */
const MAX_ID = 0o7777777;
const MAX_SIZE = 0o77777777777;

/** The header blocks of an inode under a name; a file's contents have to follow. */
export function encodeEntry(path: string, inode: Inode): Buffer {
  const linkName = inode.kind === 'symlink' ? inode.target : '';
  const sizeBytes = inode.kind === 'file' ? inode.sizeBytes : 0;
  return encode(TYPE_FLAGS[inode.kind], path, linkName, sizeBytes, inode, inode.xattrs ?? []);
}

/** The header of one more name of an inode whose first name was written before. */
export function encodeHardLink(path: string, firstPath: string, inode: Inode): Buffer {
  return encode('1', path, firstPath, 0, inode, []);
}

/** Zeros up to the next block. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES);
}

/** Two blocks of zeros (POSIX ustar). */
export const TAR_END = Buffer.alloc(2 * BLOCK_BYTES);

function encode(
  type: string,
  path: string,
  linkName: string,
  sizeBytes: number,
  inode: Inode,
  xattrs: readonly PaxRecord[],
): Buffer {
  const records: PaxRecord[] = [];
  if (path.length > MAX_NAME_BYTES) records.push(['path', path]);
  if (linkName.length > MAX_NAME_BYTES) records.push(['linkpath', linkName]);
  if (sizeBytes > MAX_SIZE) records.push(['size', String(sizeBytes)]);
  if (inode.uid > MAX_ID) records.push(['uid', String(inode.uid)]);
  if (inode.gid > MAX_ID) records.push(['gid', String(inode.gid)]);
  for (const [key, value] of xattrs) records.push([`SCHILY.xattr.${key}`, value]);
  const block = ustar(type, path, linkName, sizeBytes, inode);
  if (records.length === 0) return block;
  const pax = encodePaxRecords(records);
  const announcement = ustar('x', 'PaxHeader', '', pax.length, PAX_METADATA);
  return Buffer.concat([announcement, pax, tarPadding(pax.length), block]);
}

const PAX_METADATA: Inode = { kind: 'fifo', mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, xattrs: undefined };

function ustar(type: string, path: string, linkName: string, sizeBytes: number, inode: Inode): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(path.slice(0, MAX_NAME_BYTES), 0, 'latin1');
  octal(block, 100, 8, inode.mode);
  octal(block, 108, 8, inode.uid > MAX_ID ? 0 : inode.uid);
  octal(block, 116, 8, inode.gid > MAX_ID ? 0 : inode.gid);
  octal(block, 124, 12, sizeBytes > MAX_SIZE ? 0 : sizeBytes);
  octal(block, 136, 12, inode.mtimeSeconds);
  block.write(type, 156, 'latin1');
  block.write(linkName.slice(0, MAX_NAME_BYTES), 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  if (inode.kind === 'character-device' || inode.kind === 'block-device') {
    octal(block, 329, 8, inode.major);
    octal(block, 337, 8, inode.minor);
  }
  block.fill(0x20, 148, 156);
  octal(block, 148, 7, checksum(block));
  return block;
}

function octal(block: Buffer, offset: number, length: number, value: number): void {
  block.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1');
  block[offset + length - 1] = 0;
}

function checksum(block: Buffer): number {
  return block.reduce((sum, byte) => sum + byte, 0);
}
