// Layers made by hand, header by header, so that a test can lie in any field; and trees shown as text, so that a test can read
// them. Independent of the product's own tar code.
import { Readable } from 'node:stream';
import type { FileTree, TreeEntry } from '../../src/images/flatten/file-tree.ts';
import type { LayerSource } from '../../src/images/flatten/layer-source.ts';
import { scanLayers, type ScanOptions, type ScanOutcome } from '../../src/images/flatten/scan-layers.ts';

export interface RawEntry {
  readonly name: string;
  readonly type?: string;
  readonly link?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly major?: number;
  readonly minor?: number;
  /** The size field: a number, or raw bytes for what no number says. */
  readonly size?: number | Buffer;
  readonly content?: string | Buffer;
  readonly pax?: Readonly<Record<string, string>>;
  readonly magic?: string;
}

export const TAR_END_MARK = Buffer.alloc(1024);

export function aFile(name: string, content: string | Buffer = '', more: Partial<RawEntry> = {}): RawEntry {
  return { name, content, ...more };
}

export function aDirectory(name: string, more: Partial<RawEntry> = {}): RawEntry {
  return { name, type: '5', mode: 0o755, ...more };
}

export function aSymlink(name: string, link: string): RawEntry {
  return { name, type: '2', link, mode: 0o777 };
}

export function aHardLink(name: string, link: string): RawEntry {
  return { name, type: '1', link };
}

/** Header and contents of one entry, padded; names are latin1 byte strings. */
export function rawEntry(entry: RawEntry): Buffer {
  const content = Buffer.from(entry.content ?? '');
  const pax = Object.entries(entry.pax ?? {});
  const block = rawHeader(entry, entry.type ?? '0', entry.size ?? content.length);
  const before = pax.length === 0 ? [] : [paxEntry(pax)];
  return Buffer.concat([...before, block, padded(content)]);
}

/** A whole tar, with its end mark. */
export function rawTar(...entries: readonly (RawEntry | Buffer)[]): Buffer {
  return Buffer.concat([...entries.map((entry) => (Buffer.isBuffer(entry) ? entry : rawEntry(entry))), TAR_END_MARK]);
}

/** A layer of these entries, or of these bytes as they are. */
export function aLayer(...content: readonly RawEntry[] | readonly [Buffer]): LayerSource {
  const bytes = Buffer.isBuffer(content[0]) ? content[0] : rawTar(...content);
  return layerOf(bytes);
}

/** A layer that comes in pieces of this many bytes. */
export function layerOf(bytes: Buffer, pieceBytes = 65_536, compressedBytes = bytes.length): LayerSource {
  return {
    compressedBytes,
    open: () =>
      Readable.from(
        (function* () {
          for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
        })(),
        { objectMode: false },
      ),
  };
}

/** Scans layers that have to be good. */
export async function scanned(layers: readonly LayerSource[], options?: ScanOptions): Promise<FileTree> {
  const outcome: ScanOutcome = await scanLayers(layers, options);
  if (outcome.kind === 'refused') throw new Error(`${outcome.reason}: ${outcome.detail}`);
  return outcome.tree;
}

/** One line for each name: `etc/hostname file 5`, `bin symlink usr/bin`, `dev/null character-device 1,3`. */
export function treeLines(tree: FileTree): string[] {
  const lines: string[] = [];
  const visit = (entry: TreeEntry, path: string) => {
    if (entry.inode.kind !== 'directory') return;
    for (const [name, child] of entry.inode.children) {
      lines.push(`${path}${name} ${describe(child)}`);
      visit(child, `${path}${name}/`);
    }
  };
  visit(tree.root, '');
  return lines.sort();
}

function describe({ inode }: TreeEntry): string {
  switch (inode.kind) {
    case 'file':
      return `file ${inode.sizeBytes}`;
    case 'symlink':
      return `symlink ${inode.target}`;
    case 'character-device':
    case 'block-device':
      return `${inode.kind} ${inode.major},${inode.minor}`;
    case 'directory':
    case 'fifo':
      return inode.kind;
  }
}

export function paxEntry(records: readonly (readonly [string, string])[], type = 'x'): Buffer {
  const content = Buffer.concat(
    records.map(([key, value]) => {
      const rest = Buffer.from(` ${key}=${value}\n`, 'latin1');
      let length = rest.length + 1;
      while (String(length).length + rest.length !== length) length += 1;
      return Buffer.concat([Buffer.from(String(length)), rest]);
    }),
  );
  return Buffer.concat([rawHeader({ name: 'PaxHeader' }, type, content.length), padded(content)]);
}

/** A GNU long name ('L') or long link name ('K'). */
export function gnuLongName(name: string, type: 'L' | 'K' = 'L'): Buffer {
  const content = Buffer.from(`${name}\0`, 'latin1');
  return Buffer.concat([rawHeader({ name: '././@LongLink' }, type, content.length), padded(content)]);
}

function rawHeader(entry: RawEntry, type: string, size: number | Buffer): Buffer {
  const block = Buffer.alloc(512);
  block.write(entry.name.slice(0, 100), 0, 'latin1');
  block.write(octal(entry.mode ?? 0o644, 7), 100);
  block.write(octal(entry.uid ?? 0, 7), 108);
  block.write(octal(entry.gid ?? 0, 7), 116);
  if (Buffer.isBuffer(size)) size.copy(block, 124);
  else block.write(octal(size, 11), 124);
  block.write(octal(entry.mtime ?? 1_700_000_000, 11), 136);
  block.write(type, 156, 'latin1');
  block.write((entry.link ?? '').slice(0, 100), 157, 'latin1');
  block.write(entry.magic ?? 'ustar\x0000', 257, 'latin1');
  block.write(octal(entry.major ?? 0, 7), 329);
  block.write(octal(entry.minor ?? 0, 7), 337);
  return withChecksum(block);
}

export interface ReadEntry {
  readonly name: string;
  readonly type: string;
  readonly link: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly device: string;
  readonly owners: string;
  readonly pax: Readonly<Record<string, string>>;
  readonly content: string;
}

/** Reads a well-formed ustar or pax tar up to its end mark. */
export function readTar(tar: Buffer): ReadEntry[] {
  const entries: ReadEntry[] = [];
  let pax: Record<string, string> = {};
  for (let at = 0; tar[at] !== 0;) {
    const text = (from: number, length: number) =>
      tar.toString('latin1', at + from, at + from + length).replace(/\0.*$/s, '');
    const number = (from: number, length: number) => Number.parseInt(text(from, length) || '0', 8);
    const size = Number(pax.size ?? number(124, 12));
    const content = tar.toString('latin1', at + 512, at + 512 + size);
    if (text(156, 1) === 'x') {
      pax = readPax(content);
    } else {
      entries.push({
        name: pax.path ?? text(0, 100),
        type: text(156, 1),
        link: pax.linkpath ?? text(157, 100),
        mode: number(100, 8),
        uid: Number(pax.uid ?? number(108, 8)),
        gid: Number(pax.gid ?? number(116, 8)),
        mtime: number(136, 12),
        device: `${number(329, 8)},${number(337, 8)}`,
        owners: text(265, 32) + text(297, 32),
        pax,
        content,
      });
      pax = {};
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return entries;
}

function readPax(content: string): Record<string, string> {
  const records: Record<string, string> = {};
  for (let rest = content; rest !== '';) {
    const length = Number.parseInt(rest, 10);
    const [, key = '', value = ''] = /^[0-9]+ ([^=]+)=(.*)\n$/s.exec(rest.slice(0, length)) ?? [];
    records[key] = value;
    rest = rest.slice(length);
  }
  return records;
}

/** Sets the checksum of a header that a test has changed. */
export function withChecksum(block: Buffer): Buffer {
  block.fill(' ', 148, 156);
  let sum = 0;
  // By index: a memory test makes a million of these, and iterators are ten times slower.
  for (let at = 0; at < 512; at += 1) sum += block.readUInt8(at);
  block.write(`${octal(sum, 6)}\0 `, 148);
  return block;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}
