// One entry of a layer: its header together with the pax records and GNU long names before it. Pure.
import { FlattenRefusal, quoteName } from './flatten-refusal.ts';
import type { PaxRecord } from './pax-records.ts';
import { gnuRealSize, sparseOf, type SparseForm } from './sparse-map.ts';
import type { TarHeader } from './tar-header.ts';

type EntryType = 'file' | 'hard-link' | 'symlink' | 'character-device' | 'block-device' | 'directory' | 'fifo';

export interface TarEntry {
  readonly type: EntryType;
  /** As the tar has it, a byte string. */
  readonly name: string;
  readonly linkName: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Within 0 … 2^32-1, as squashfs stores it. */
  readonly mtimeSeconds: number;
  /** A file's full size, holes included; 0 for everything else. */
  readonly sizeBytes: number;
  /** Bytes that follow in the tar. */
  readonly storedBytes: number;
  readonly sparse: SparseForm | undefined;
  readonly major: number;
  readonly minor: number;
  /** Attribute and value, byte strings, sorted; undefined where there is none. */
  readonly xattrs: readonly PaxRecord[] | undefined;
}

/** What came before a header and speaks about it. */
export interface EntryPrelude {
  readonly pax: readonly PaxRecord[];
  readonly longName: string | undefined;
  readonly longLinkName: string | undefined;
}

const NO_RECORDS: ReadonlyMap<string, string> = new Map();

const TYPES: ReadonlyMap<string, EntryType> = new Map([
  ['0', 'file'],
  ['7', 'file'],
  ['S', 'file'],
  ['1', 'hard-link'],
  ['2', 'symlink'],
  ['3', 'character-device'],
  ['4', 'block-device'],
  ['5', 'directory'],
  ['6', 'fifo'],
]);

const XATTR_PREFIX = 'SCHILY.xattr.';
/** The only namespaces that squashfs can store (squashfs_fs.h, SQUASHFS_XATTR_*). */
const XATTR_NAMESPACE = /^(?:user|trusted|security)\./;
const MAX_XATTR_NAME_BYTES = 255;
const MAX_XATTR_VALUE_BYTES = 65_536;
const MAX_ID = 0xffff_fffe;
/** Minor numbers have 20 bits in Linux, major ones fewer (kdev_t.h). */
const MAX_DEVICE = 0xf_ffff;

export function tarEntry(header: TarHeader, prelude: EntryPrelude, block: Buffer): TarEntry {
  // An empty value takes a record back (POSIX.1-2001 pax).
  const pax = prelude.pax.length === 0 ? NO_RECORDS : new Map(prelude.pax.filter(([, value]) => value !== ''));
  const sparse = header.type === 'S' ? gnuSparse(block) : sparseOf(prelude.pax);
  const name = sparse?.name ?? pax.get('path') ?? prelude.longName ?? header.name;
  const type = entryType(header, name);
  const sizeBytes = number(pax.get('size')) ?? header.sizeBytes;
  if (sizeBytes < 0 || (sparse?.sizeBytes ?? 0) < 0) {
    throw new FlattenRefusal('negative-size', `${quoteName(name)} has a negative size`);
  }
  // What has no contents is followed by none, whatever its size says (Go archive/tar, isHeaderOnlyType).
  const storedBytes = type === 'file' ? sizeBytes : 0;
  return {
    type,
    name,
    linkName: pax.get('linkpath') ?? prelude.longLinkName ?? header.linkName,
    mode: header.mode,
    uid: id(number(pax.get('uid')) ?? header.uid, name),
    gid: id(number(pax.get('gid')) ?? header.gid, name),
    mtimeSeconds: seconds(number(pax.get('mtime')) ?? header.mtimeSeconds),
    sizeBytes: type === 'file' ? (sparse?.sizeBytes ?? sizeBytes) : 0,
    storedBytes,
    sparse: type === 'file' ? sparse?.form : undefined,
    major: device(header.major, name),
    minor: device(header.minor, name),
    xattrs: xattrsOf(prelude.pax, name),
  };
}

function entryType(header: TarHeader, name: string): EntryType {
  const type = TYPES.get(header.type);
  if (type === undefined) {
    throw new FlattenRefusal('unsupported-entry', `${quoteName(name)} is of tar type ${quoteName(header.type)}`);
  }
  // V7 marks a directory by the slash alone.
  return header.type === '0' && name.endsWith('/') && header.sizeBytes === 0 ? 'directory' : type;
}

function gnuSparse(block: Buffer): { form: SparseForm; sizeBytes: number; name?: string } {
  return { form: 'gnu', sizeBytes: gnuRealSize(block) };
}

function xattrsOf(records: readonly PaxRecord[], name: string): readonly PaxRecord[] | undefined {
  if (records.length === 0) return undefined;
  const found = new Map<string, string>();
  for (const [key, value] of records) {
    const attribute = key.slice(XATTR_PREFIX.length);
    if (!key.startsWith(XATTR_PREFIX) || value === '' || !XATTR_NAMESPACE.test(attribute)) continue;
    if (attribute.includes('\0') || attribute.includes('\n')) {
      throw new FlattenRefusal(
        'forbidden-character',
        `${quoteName(name)} has an attribute named ${quoteName(attribute)}`,
      );
    }
    if (attribute.length > MAX_XATTR_NAME_BYTES || value.length > MAX_XATTR_VALUE_BYTES) {
      throw new FlattenRefusal('metadata-too-large', `${quoteName(name)} has an attribute beyond Linux's limits`);
    }
    found.set(attribute, value);
  }
  if (found.size === 0) return undefined;
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
}

function number(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^-?[0-9]{1,20}(?:\.[0-9]*)?$/.test(text)) {
    throw new FlattenRefusal('bad-pax-header', `A pax header has ${quoteName(text)} where a number belongs`);
  }
  return Math.floor(Number(text));
}

function id(value: number, name: string): number {
  if (value >= 0 && value <= MAX_ID) return value;
  throw new FlattenRefusal('bad-header', `${quoteName(name)} has an owner outside 0 … ${MAX_ID}`);
}

function device(value: number, name: string): number {
  if (value >= 0 && value <= MAX_DEVICE) return value;
  throw new FlattenRefusal('bad-header', `${quoteName(name)} has a device number outside 0 … ${MAX_DEVICE}`);
}

function seconds(value: number): number {
  return Math.min(Math.max(value, 0), 0xffff_ffff);
}
