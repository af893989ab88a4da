// CD images made by hand (ECMA-119), with names as plain capitals, by Rock Ridge or by Joliet. Independent of the product's reader.
const SECTOR = 2048;

type Names = 'plain' | 'rock-ridge' | 'joliet';

interface Folder {
  readonly folders: Map<string, Folder>;
  readonly files: Map<string, Buffer>;
}

/** `files`: path → content. */
export function anIso(files: Readonly<Record<string, string>>, names: Names): Buffer {
  // Descriptors at 16 to 18; everything else behind.
  const image = new Image(19);
  const rootAt = image.addFolder(folderOf(files), names);
  const descriptors = names === 'joliet' ? [1, 2] : [1];
  for (const [index, type] of descriptors.entries()) {
    const block = Buffer.alloc(SECTOR);
    block[0] = type;
    block.write('CD001\x01', 1, 'latin1');
    if (type === 2) block.write('%/E', 88, 'latin1');
    // In a Joliet image the primary tree is empty here, so that only a reader of Joliet finds anything.
    const isEmpty = names === 'joliet' && type === 1;
    record('\0', isEmpty ? image.addFolder(folderOf({}), 'plain') : rootAt, true, 'plain').copy(block, 156);
    image.put(16 + index, block);
  }
  const end = Buffer.alloc(SECTOR);
  end[0] = 255;
  end.write('CD001\x01', 1, 'latin1');
  image.put(16 + descriptors.length, end);
  return image.bytes();
}

class Image {
  readonly #sectors = new Map<number, Buffer>();
  #next: number;

  constructor(first: number) {
    this.#next = first;
  }

  put(sector: number, content: Buffer): void {
    this.#sectors.set(sector, content);
  }

  addFolder(folder: Folder, names: Names): { at: number; length: number } {
    const records: Buffer[] = [];
    for (const [name, content] of folder.files) {
      const at = this.#allocate(content);
      records.push(record(name, { at, length: content.length }, false, names));
    }
    for (const [name, child] of folder.folders) records.push(record(name, this.addFolder(child, names), true, names));
    const self = record('\0', { at: 0, length: SECTOR }, true, 'plain');
    const parent = record('\x01', { at: 0, length: SECTOR }, true, 'plain');
    const body = Buffer.concat([self, parent, ...records]);
    const content = Buffer.concat([body, Buffer.alloc(SECTOR - (body.length % SECTOR))]);
    return { at: this.#allocate(content), length: content.length };
  }

  bytes(): Buffer {
    const image = Buffer.alloc(this.#next * SECTOR);
    for (const [sector, content] of this.#sectors) content.copy(image, sector * SECTOR);
    return image;
  }

  #allocate(content: Buffer): number {
    const at = this.#next;
    this.#next += Math.max(1, Math.ceil(content.length / SECTOR));
    this.put(at, content);
    return at;
  }
}

function record(name: string, extent: { at: number; length: number }, isFolder: boolean, names: Names): Buffer {
  const isSpecial = name < ' ';
  const raw = isSpecial ? Buffer.from(name, 'latin1') : encodedName(name, isFolder, names);
  const pad = raw.length % 2 === 0 ? 1 : 0;
  const extra = names === 'rock-ridge' && !isSpecial ? rockRidge(name) : Buffer.alloc(0);
  const fixed = Buffer.alloc(33);
  fixed[0] = 33 + raw.length + pad + extra.length;
  fixed.writeUInt32LE(extent.at, 2);
  fixed.writeUInt32BE(extent.at, 6);
  fixed.writeUInt32LE(extent.length, 10);
  fixed.writeUInt32BE(extent.length, 14);
  fixed[25] = isFolder ? 2 : 0;
  fixed[32] = raw.length;
  return Buffer.concat([fixed, raw, Buffer.alloc(pad), extra]);
}

function encodedName(name: string, isFolder: boolean, names: Names): Buffer {
  if (names === 'joliet') return Buffer.from(isFolder ? name : `${name};1`, 'utf16le').swap16();
  return Buffer.from(isFolder ? name.toUpperCase() : `${name.toUpperCase()};1`, 'latin1');
}

/** An RR field and the NM field, as mkisofs writes them. */
function rockRidge(name: string): Buffer {
  const other = Buffer.from([0x52, 0x52, 5, 1, 0x81]);
  const length = 5 + name.length;
  return Buffer.concat([other, Buffer.from([0x4e, 0x4d, length, 1, 0]), Buffer.from(name, 'utf8')]);
}

function folderOf(files: Readonly<Record<string, string>>): Folder {
  const root: Folder = { folders: new Map(), files: new Map() };
  for (const [path, content] of Object.entries(files)) {
    const names = path.split('/');
    let at = root;
    for (const name of names.slice(0, -1)) {
      const child = at.folders.get(name) ?? { folders: new Map(), files: new Map() };
      at.folders.set(name, child);
      at = child;
    }
    at.files.set(names.at(-1) ?? '', Buffer.from(content));
  }
  return root;
}
