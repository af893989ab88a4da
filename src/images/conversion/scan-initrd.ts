// Reads the names in an initrd: cpio archives one after the other (an uncompressed one with microcode comes first), the last
// of them compressed (Linux, Documentation/driver-api/early-userspace/buffer-format.rst). Keeps nothing but the entry it is in.
import { promises as streams, type Duplex, type Readable } from 'node:stream';

type Compression = 'gzip' | 'zstd' | 'xz' | 'lzma' | 'lz4' | 'bzip2';

/** PORT. Undefined where the program for it is not installed. Adapter: platform/decompressors.ts. */
export type OpenDecompressor = (compression: Compression) => Duplex | undefined;

export type InitrdScan =
  { readonly kind: 'scanned'; readonly entries: number } | { readonly kind: 'opaque'; readonly reason: string };

const MAGICS: readonly (readonly [hex: string, Compression])[] = [
  ['1f8b', 'gzip'],
  ['28b52ffd', 'zstd'],
  ['fd377a585a00', 'xz'],
  ['5d0000', 'lzma'],
  ['02214c18', 'lz4'],
  ['04224d18', 'lz4'],
  ['425a68', 'bzip2'],
];
const CPIO_MAGIC = /^07070[12]$/;
const HEADER_BYTES = 110;
const NAME_LIMIT_BYTES = 4096;
const ENTRY_LIMIT = 500_000;
/** Far more than any initrd; a bomb ends here. */
const UNPACKED_LIMIT_BYTES = 2 * 1024 ** 3;

class OpaqueInitrd extends Error {}

/** Calls `onName` for each entry, without a slash at its start. Fails only as `content` fails. */
export async function scanInitrd(
  content: Readable,
  openDecompressor: OpenDecompressor,
  onName: (name: string) => void,
): Promise<InitrdScan> {
  const walk = new CpioWalk(onName);
  try {
    const source = content.iterator({ destroyOnReturn: false });
    const rest = await walk.uncompressed(source);
    if (rest !== undefined) await unpack(rest, source, openDecompressor, walk);
    return walk.entries === 0
      ? { kind: 'opaque', reason: 'it has no files' }
      : { kind: 'scanned', entries: walk.entries };
  } catch (error) {
    if (error instanceof OpaqueInitrd) return { kind: 'opaque', reason: error.message };
    throw error;
  } finally {
    content.destroy();
  }
}

async function unpack(
  first: Buffer,
  source: AsyncIterable<unknown>,
  openDecompressor: OpenDecompressor,
  walk: CpioWalk,
): Promise<void> {
  const compression = compressionOf(first);
  if (compression === undefined)
    throw new OpaqueInitrd('it is neither a cpio archive nor compressed as Linux knows it');
  const decompressor = openDecompressor(compression);
  if (decompressor === undefined) throw new OpaqueInitrd(`nothing here unpacks ${compression}`);
  const failure: { read?: unknown } = {};
  const rest = async function* () {
    yield first;
    try {
      for await (const chunk of source) yield chunk;
    } catch (error) {
      failure.read = error;
      throw error;
    }
  };
  try {
    await streams.pipeline(rest, decompressor, async (unpacked: AsyncIterable<unknown>) => {
      if ((await walk.uncompressed(unpacked)) !== undefined)
        throw new OpaqueInitrd('there is no cpio archive in its compressed part');
    });
  } catch (error) {
    if (failure.read !== undefined || error instanceof OpaqueInitrd) throw error;
    // Programs pad initrds and put signatures behind them: what follows a whole archive is nobody's matter.
    if (walk.isBetweenArchives && walk.entries > 0) return;
    throw new OpaqueInitrd(`its ${compression} data are damaged`);
  }
}

function compressionOf(bytes: Buffer): Compression | undefined {
  const start = bytes.subarray(0, 6).toString('hex');
  return MAGICS.find(([magic]) => start.startsWith(magic))?.[1];
}

/** Goes through cpio archives (newc) that come in any chunks, and the zeros between them. */
class CpioWalk {
  readonly #onName: (name: string) => void;
  #pending: Buffer = Buffer.alloc(0);
  #skip = 0;
  #unpacked = 0;
  #inArchive = false;
  entries = 0;

  constructor(onName: (name: string) => void) {
    this.#onName = onName;
  }

  get isBetweenArchives(): boolean {
    return !this.#inArchive;
  }

  /** Ends with the source, or gives back the bytes at the place where something other than cpio begins. */
  async uncompressed(source: AsyncIterable<unknown>): Promise<Buffer | undefined> {
    this.#pending = Buffer.alloc(0);
    this.#skip = 0;
    this.#inArchive = false;
    for await (const chunk of { [Symbol.asyncIterator]: () => unclosing(source) }) {
      if (!(chunk instanceof Uint8Array)) continue;
      this.#unpacked += chunk.length;
      if (this.#unpacked > UNPACKED_LIMIT_BYTES) throw new OpaqueInitrd('it unpacks to more than 2 GiB');
      const rest = this.#take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
      if (rest !== undefined) return rest;
    }
    if (!this.isBetweenArchives) throw new OpaqueInitrd('it ends in the middle of an archive');
    return this.#pending.length > 0 ? this.#pending : undefined;
  }

  #take(chunk: Buffer): Buffer | undefined {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    if (skipped === chunk.length) return undefined;
    let bytes: Buffer = Buffer.concat([this.#pending, chunk.subarray(skipped)]);
    for (;;) {
      if (!this.#inArchive) bytes = withoutZeros(bytes);
      if (bytes.length < 6) break;
      if (!CPIO_MAGIC.test(bytes.toString('latin1', 0, 6))) {
        if (this.#inArchive) throw new OpaqueInitrd('its archive is damaged');
        return bytes;
      }
      const used = this.#entry(bytes);
      if (used === undefined) break;
      this.#skip = Math.max(0, used - bytes.length);
      bytes = bytes.subarray(Math.min(used, bytes.length));
      if (this.#skip > 0) break;
    }
    this.#pending = Buffer.from(bytes);
    return undefined;
  }

  /** The length of the entry with its content, or undefined where its name has not come whole yet. */
  #entry(bytes: Buffer): number | undefined {
    this.#inArchive = true;
    if (bytes.length < HEADER_BYTES) return undefined;
    const nameBytes = hexField(bytes, 94);
    const contentBytes = hexField(bytes, 54);
    if (nameBytes < 1 || nameBytes > NAME_LIMIT_BYTES) throw new OpaqueInitrd('its archive is damaged');
    if (bytes.length < HEADER_BYTES + nameBytes) return undefined;
    const name = bytes.toString('utf8', HEADER_BYTES, HEADER_BYTES + nameBytes - 1);
    this.entries += 1;
    if (this.entries > ENTRY_LIMIT) throw new OpaqueInitrd(`it has more than ${ENTRY_LIMIT} files`);
    if (name === 'TRAILER!!!') this.#inArchive = false;
    else this.#onName(name.replace(/^(?:\.?\/)+/, ''));
    return align4(HEADER_BYTES + nameBytes) + align4(contentBytes);
  }
}

/** A loop over it that ends early leaves the source open for the next. */
function unclosing(source: AsyncIterable<unknown>): AsyncIterator<unknown> {
  const iterator = source[Symbol.asyncIterator]();
  return { next: () => iterator.next() };
}

function withoutZeros(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  return start < 0 ? bytes.subarray(bytes.length) : bytes.subarray(start);
}

function hexField(bytes: Buffer, offset: number): number {
  const digits = bytes.toString('latin1', offset, offset + 8);
  if (!/^[0-9a-f]{8}$/i.test(digits)) throw new OpaqueInitrd('its archive is damaged');
  return Number.parseInt(digits, 16);
}

function align4(length: number): number {
  return Math.ceil(length / 4) * 4;
}
