// Folders and tar archives as files by path. A tar is looked through once and then read in place: nothing is unpacked.
import { open } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { FlattenRefusal } from '../../images/flatten/flatten-refusal.ts';
import { BLOCK_BYTES, decodeTarHeader, type TarHeader } from '../../images/flatten/tar-header.ts';
import { fileOnDisk, notAnImage, part, type SourceFile, type SourceFiles } from './image-source.ts';

const ENTRY_LIMIT = 100_000;
const LINK_LIMIT = 10;
const GZIP_MAGIC = '1f8b';

export function filesInFolder(folder: string): SourceFiles {
  return { find: (path) => fileOnDisk(join(folder, path)).catch(() => undefined) };
}

/** Throws CliError where the file is no plain tar. */
export async function filesInTar(path: string): Promise<SourceFiles> {
  const entries = await indexOf(path);
  const find = (name: string, links = 0): SourceFile | undefined => {
    const entry = entries.get(posix.normalize(name));
    if (entry?.link === undefined) return entry && part(path, entry.offset, entry.sizeBytes);
    // `docker save` of old links layers that two images share.
    return links < LINK_LIMIT ? find(posix.join(posix.dirname(name), entry.link), links + 1) : undefined;
  };
  return { find: (name) => Promise.resolve(find(name)) };
}

interface Entry {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly link?: string;
}

async function indexOf(path: string): Promise<ReadonlyMap<string, Entry>> {
  const { sizeBytes } = await fileOnDisk(path);
  const file = await open(path, 'r');
  const entries = new Map<string, Entry>();
  try {
    const block = Buffer.alloc(BLOCK_BYTES);
    for (let offset = 0; offset + BLOCK_BYTES <= sizeBytes && entries.size < ENTRY_LIMIT;) {
      await file.read(block, 0, BLOCK_BYTES, offset);
      if (offset === 0 && block.toString('hex', 0, 2) === GZIP_MAGIC)
        throw notAnImage(path, 'it is compressed as a whole. Unpack it with gunzip first.');
      const header = headerOf(block, path);
      if (header === undefined) break;
      const name = posix.normalize(header.name);
      if (header.type === '0') entries.set(name, { offset: offset + BLOCK_BYTES, sizeBytes: header.sizeBytes });
      if (header.type === '2') entries.set(name, { offset: 0, sizeBytes: 0, link: header.linkName });
      offset += BLOCK_BYTES + Math.ceil(header.sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
    }
  } finally {
    await file.close();
  }
  return entries;
}

function headerOf(block: Buffer, path: string): TarHeader | undefined {
  try {
    return decodeTarHeader(block);
  } catch (error) {
    if (error instanceof FlattenRefusal) throw notAnImage(path, `it is no tar archive (${error.message}).`);
    throw error;
  }
}
