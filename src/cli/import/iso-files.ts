// Files of a CD image by path, read in place (ECMA-119; long names by Rock Ridge, IEEE P1282 §4.1.4, or by Joliet). Knows files
// and folders; links are not followed.
import { open, type FileHandle } from 'node:fs/promises';
import { notAnImage, part, type SourceFile, type SourceFiles } from './image-source.ts';

const SECTOR = 2048;
const FIRST_DESCRIPTOR = 16;
const DESCRIPTOR_LIMIT = 32;
const FOLDER_LIMIT_BYTES = 16 * 1024 * 1024;
const JOLIET_ESCAPES = ['%/@', '%/C', '%/E'];

interface Extent {
  readonly offset: number;
  readonly sizeBytes: number;
}

interface Entry extends Extent {
  readonly name: string;
  readonly isFolder: boolean;
  /** The file goes on with the next entry (ECMA-119 §9.1.6 bit 7). */
  readonly isPartial: boolean;
}

export interface IsoFiles extends SourceFiles {
  /** Names of the folder; none where there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
}

/** Throws CliError for what is no CD image. */
export async function filesInIso(path: string): Promise<IsoFiles> {
  const withFile = async <T>(action: (file: FileHandle) => Promise<T>): Promise<T> => {
    const file = await open(path, 'r');
    try {
      return await action(file);
    } finally {
      await file.close();
    }
  };
  const volume = await withFile((file) => volumeOf(file, path));
  const entriesOf = (folder: string): Promise<readonly Entry[]> =>
    withFile(async (file) => {
      let at: Extent | undefined = volume.root;
      for (const name of folder.split('/').filter((word) => word !== '')) {
        const found: Entry | undefined =
          at && (await readFolder(file, at, volume.isJoliet)).find((entry) => fits(entry, name));
        at = found?.isFolder === true ? found : undefined;
      }
      return at === undefined ? [] : readFolder(file, at, volume.isJoliet);
    });
  return {
    list: async (folder) => (await entriesOf(folder)).map(({ name }) => name),
    find: async (name) => {
      const slash = name.lastIndexOf('/');
      const entries = await entriesOf(name.slice(0, slash + 1));
      return wholeFile(path, entries, name.slice(slash + 1));
    },
  };
}

/** A file of more than 4 GiB lies in several extents, one behind the other. */
function wholeFile(path: string, entries: readonly Entry[], name: string): SourceFile | undefined {
  const first = entries.findIndex((entry) => !entry.isFolder && fits(entry, name));
  const [start] = entries.slice(first, first + 1);
  if (first < 0 || start === undefined) return undefined;
  let sizeBytes = 0;
  for (const entry of entries.slice(first)) {
    sizeBytes += entry.sizeBytes;
    if (!entry.isPartial) break;
  }
  return part(path, start.offset, sizeBytes);
}

async function volumeOf(file: FileHandle, path: string): Promise<{ root: Extent; isJoliet: boolean }> {
  let primary: Extent | undefined;
  let joliet: Extent | undefined;
  for (let number = 0; number < DESCRIPTOR_LIMIT; number += 1) {
    const block = await readAt(file, (FIRST_DESCRIPTOR + number) * SECTOR, SECTOR);
    if (block.toString('latin1', 1, 6) !== 'CD001') break;
    const type = block[0];
    if (type === 255) break;
    const root = extentOf(block.subarray(156, 190));
    if (type === 1) primary = root;
    if (type === 2 && JOLIET_ESCAPES.includes(block.toString('latin1', 88, 91))) joliet = root;
  }
  if (primary === undefined) throw notAnImage(path, 'it is no CD image (ISO 9660).');
  const hasRockRidge = (await readFolder(file, primary, false)).some(({ name }) => /[a-z]/.test(name));
  return joliet !== undefined && !hasRockRidge ? { root: joliet, isJoliet: true } : { root: primary, isJoliet: false };
}

async function readFolder(file: FileHandle, extent: Extent, isJoliet: boolean): Promise<readonly Entry[]> {
  const bytes = await readAt(file, extent.offset, Math.min(extent.sizeBytes, FOLDER_LIMIT_BYTES));
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes[at] ?? 0;
    // A record never crosses a sector; the rest of it is zeros.
    if (length < 34) at = (Math.floor(at / SECTOR) + 1) * SECTOR;
    else {
      const entry = entryOf(bytes.subarray(at, at + length), isJoliet);
      if (entry !== undefined) entries.push(entry);
      at += length;
    }
  }
  return entries;
}

function entryOf(record: Buffer, isJoliet: boolean): Entry | undefined {
  const nameBytes = record[32] ?? 0;
  const raw = record.subarray(33, 33 + nameBytes);
  // The folder itself and the one above.
  if (raw.length !== nameBytes || (nameBytes === 1 && (raw[0] ?? 0) < 2)) return undefined;
  const flags = record[25] ?? 0;
  const plain = isJoliet ? Buffer.from(raw).swap16().toString('utf16le') : raw.toString('latin1');
  const systemUse = record.subarray(33 + nameBytes + (nameBytes % 2 === 0 ? 1 : 0));
  const name = (isJoliet ? undefined : rockRidgeName(systemUse)) ?? plain.replace(/\.?;\d+$/, '');
  return { ...extentOf(record), name, isFolder: (flags & 2) !== 0, isPartial: (flags & 0x80) !== 0 };
}

/** The NM fields of the record; a name that goes on elsewhere (CE) is longer than any that is looked for. */
function rockRidgeName(fields: Buffer): string | undefined {
  let name: string | undefined;
  for (let at = 0; at + 4 <= fields.length;) {
    const length = fields[at + 2] ?? 0;
    if (length < 4 || at + length > fields.length) break;
    if (fields.toString('latin1', at, at + 2) === 'NM')
      name = (name ?? '') + fields.toString('utf8', at + 5, at + length);
    at += length;
  }
  return name;
}

/** Both byte orders are there; the first is little endian (ECMA-119 §7.3.3). */
function extentOf(record: Buffer): Extent {
  return { offset: record.readUInt32LE(2) * SECTOR, sizeBytes: record.readUInt32LE(10) };
}

/** Without Rock Ridge and Joliet names are in capitals. */
function fits(entry: Entry, name: string): boolean {
  return entry.name === name || entry.name === name.toUpperCase();
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const block = Buffer.alloc(length);
  const { bytesRead } = await file.read(block, 0, length, offset);
  return block.subarray(0, bytesRead);
}
