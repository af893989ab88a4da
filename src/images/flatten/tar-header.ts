// One 512-byte tar header (POSIX.1-1988 ustar, GNU, V7): bytes to fields. Pure. Names are byte strings: one character per
// byte (latin1), because tar names are bytes and a decoder of UTF-8 would lose some. Refuses what container tools refuse.
import { FlattenRefusal } from './flatten-refusal.ts';

export const BLOCK_BYTES = 512;

export interface TarHeader {
  /** The typeflag character. */
  readonly type: string;
  readonly name: string;
  readonly linkName: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Stored bytes that follow; for a sparse file fewer than the file's size. */
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly major: number;
  readonly minor: number;
}

/** Undefined for a block of zeros: the end mark, or half of it. */
export function decodeTarHeader(block: Buffer): TarHeader | undefined {
  if (isZero(block)) return undefined;
  verifyChecksum(block);
  const magic = block.toString('latin1', 257, 265);
  const prefix = magic === 'ustar\x0000' ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  const type = block.toString('latin1', 156, 157);
  const isDevice = type === '3' || type === '4';
  return {
    type: type === '\0' ? '0' : type,
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: text(block, 157, 100),
    mode: tarNumber(block, 100, 8) & 0o7777,
    uid: tarNumber(block, 108, 8),
    gid: tarNumber(block, 116, 8),
    sizeBytes: tarNumber(block, 124, 12),
    mtimeSeconds: tarNumber(block, 136, 12),
    // V7 and GNU writers leave rubbish here for what is no device.
    major: isDevice ? tarNumber(block, 329, 8) : 0,
    minor: isDevice ? tarNumber(block, 337, 8) : 0,
  };
}

/** A numeric field: octal in spaces or NULs, or GNU base-256 with the top bit set. */
export function tarNumber(block: Buffer, offset: number, length: number): number {
  const first = block.readUInt8(offset);
  if ((first & 0x80) !== 0) return base256(block, offset, length, first);
  let value = 0;
  let seen = false;
  let ended = false;
  for (let at = offset; at < offset + length; at += 1) {
    const byte = block.readUInt8(at);
    if (byte === 0x20 || byte === 0) {
      ended = seen;
    } else if (ended || byte < 0x30 || byte > 0x37) {
      throw new FlattenRefusal('bad-header', `A number of a tar header is not octal, at byte ${offset}`);
    } else {
      seen = true;
      value = value * 8 + (byte - 0x30);
    }
  }
  return value;
}

function base256(block: Buffer, offset: number, length: number, first: number): number {
  // Two's complement over all bits but the marker; beyond 2^53 the value is only roughly right, and far over every limit.
  const negative = (first & 0x40) !== 0;
  let value = negative ? (first & 0x7f) - 0x80 : first & 0x7f;
  for (let at = offset + 1; at < offset + length; at += 1) value = value * 256 + block.readUInt8(at);
  return value;
}

function verifyChecksum(block: Buffer): void {
  const expected = tarNumber(block, 148, 8);
  let unsigned = 8 * 0x20;
  let high = 0;
  for (let at = 0; at < BLOCK_BYTES; at += 1) {
    if (at === 148) at = 156;
    const byte = block[at] ?? 0;
    unsigned += byte;
    if (byte > 0x7f) high += 1;
  }
  // Some old writers summed signed bytes.
  if (expected !== unsigned && expected !== unsigned - high * 0x100) {
    throw new FlattenRefusal('bad-header', 'A tar header has a wrong checksum');
  }
}

function text(block: Buffer, offset: number, length: number): string {
  const end = block.indexOf(0, offset);
  return block.toString('latin1', offset, end === -1 || end > offset + length ? offset + length : end);
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);

/** Whether a piece of any length holds zeros alone. */
export function isZero(piece: Buffer): boolean {
  for (let at = 0; at < piece.length; at += BLOCK_BYTES) {
    const length = Math.min(BLOCK_BYTES, piece.length - at);
    if (piece.compare(ZEROS, 0, length, at, at + length) !== 0) return false;
  }
  return true;
}
