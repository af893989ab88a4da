// Sets the time of the root folder in a finished squashfs 4.0 file (Linux, fs/squashfs/squashfs_fs.h). For mksquashfs 4.5.1, which
// with -tar has no option for it: it takes the present time, or SOURCE_DATE_EPOCH where that is earlier. So the bytes of an image
// with a file from the future, or of a server whose clock is behind, would depend on when it was packed.
import { open, type FileHandle } from 'node:fs/promises';
import { AppError } from '../errors.ts';

const SUPERBLOCK_BYTES = 96;
const MAGIC = 0x73717368;
/** Contents of a full metadata block, behind a header of two bytes whose top bit means: not compressed. */
const BLOCK_BYTES = 8192;
const HEADER_BYTES = 2;
const NOT_COMPRESSED = 0x8000;
/** In every kind of inode: type, mode, two numbers of owners, then 32 bits of time. */
const TIME_OFFSET = 8;
const DIRECTORY_TYPES = [1, 8];

/** Inodes must not be compressed (`-noI`). Not synced: the file is not yet where it stays. */
export async function setSquashfsRootTime(path: string, timeSeconds: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const place = await findRoot(file);
    if (place === undefined) throw new AppError('internal', `mksquashfs wrote something else than expected: ${path}`);
    const time = Buffer.alloc(4);
    time.writeUInt32LE(timeSeconds);
    // Byte by byte: an inode may lie across two blocks, with a header between.
    for (const [index, byte] of time.entries()) {
      await file.write(Buffer.of(byte), 0, 1, byteAt(place, TIME_OFFSET + index));
    }
  } finally {
    await file.close();
  }
}

interface InodePlace {
  readonly blockStart: number;
  readonly offset: number;
}

async function findRoot(file: FileHandle): Promise<InodePlace | undefined> {
  const superblock = await read(file, 0, SUPERBLOCK_BYTES);
  if (superblock.readUInt32LE(0) !== MAGIC || superblock.readUInt16LE(28) !== 4) return undefined;
  const root = superblock.readBigUInt64LE(32);
  const inodeTable = superblock.readBigUInt64LE(64);
  const place = { blockStart: Number(inodeTable + (root >> 16n)), offset: Number(root & 0xffffn) };
  const header = (await read(file, place.blockStart, HEADER_BYTES)).readUInt16LE();
  const low = (await read(file, byteAt(place, 0), 1)).readUInt8();
  return (header & NOT_COMPRESSED) !== 0 && DIRECTORY_TYPES.includes(low) ? place : undefined;
}

function byteAt({ blockStart, offset }: InodePlace, index: number): number {
  const at = offset + index;
  return blockStart + HEADER_BYTES + at + (at >= BLOCK_BYTES ? HEADER_BYTES : 0);
}

async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  if (bytesRead < length) throw new AppError('internal', 'mksquashfs wrote a file that ends too early.');
  return buffer;
}
