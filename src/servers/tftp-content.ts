// Where the bytes of a transfer come from. Loaders are small and asked for by a whole rack at once, so they are read once, kept
// whole and shared; a file over the limit is read chunk by chunk, one ahead, for each transfer.

/** What openFile gives for a name. A blob is immutable: the same cacheKey always has the same bytes. */
export type TftpFile =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'blob';
      readonly sizeBytes: number;
      readonly cacheKey: string;
      /** The bytes from start to end, both included. */
      read(range: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array>;
    };

export interface TransferContent {
  readonly sizeBytes: number;
  /** Undefined where the bytes are at hand; else a promise of when they are. Forgets what lies before `start`. */
  prepare(start: number, end: number): Promise<void> | undefined;
  /** Copies bytes that prepare said are at hand. */
  copy(target: Uint8Array, targetStart: number, start: number, end: number): void;
}

export interface ContentLimits {
  /** Larger files are not kept in memory. */
  readonly cachedFileBytes: number;
  readonly cacheBytes: number;
}

type Blob = Extract<TftpFile, { kind: 'blob' }>;

interface CacheEntry {
  readonly sizeBytes: number;
  readonly content: Promise<TransferContent>;
}

export class TftpContentCache {
  private readonly limits: ContentLimits;
  /** In the order of last use, oldest first. */
  private readonly entries = new Map<string, CacheEntry>();
  private totalBytes = 0;

  constructor(limits: ContentLimits) {
    this.limits = limits;
  }

  async open(file: TftpFile): Promise<TransferContent> {
    if (file.kind === 'bytes') return new MemoryContent(file.bytes);
    if (file.sizeBytes > Math.min(this.limits.cachedFileBytes, this.limits.cacheBytes)) return new ChunkedContent(file);
    const known = this.entries.get(file.cacheKey);
    if (known !== undefined) {
      this.entries.delete(file.cacheKey);
      this.entries.set(file.cacheKey, known);
      return known.content;
    }
    return this.load(file);
  }

  private async load(file: Blob): Promise<TransferContent> {
    const content = readRange(file, 0, file.sizeBytes).then((bytes) => new MemoryContent(bytes));
    const entry = { sizeBytes: file.sizeBytes, content };
    this.entries.set(file.cacheKey, entry);
    this.totalBytes += file.sizeBytes;
    this.evict();
    try {
      return await content;
    } catch (error) {
      if (this.entries.get(file.cacheKey) === entry) this.remove(file.cacheKey, entry);
      throw error;
    }
  }

  private evict(): void {
    for (const [key, entry] of this.entries) {
      if (this.totalBytes <= this.limits.cacheBytes) return;
      this.remove(key, entry);
    }
  }

  private remove(key: string, entry: CacheEntry): void {
    this.entries.delete(key);
    this.totalBytes -= entry.sizeBytes;
  }
}

class MemoryContent implements TransferContent {
  readonly sizeBytes: number;
  private readonly bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.sizeBytes = bytes.length;
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  prepare(): undefined {
    return undefined;
  }

  copy(target: Uint8Array, targetStart: number, start: number, end: number): void {
    this.bytes.copy(target, targetStart, start, end);
  }
}

const CHUNK_BYTES = 512 * 1024;

/** Holds the chunks that a window touches (two, as no window is longer than a chunk) and reads the next one ahead. */
class ChunkedContent implements TransferContent {
  readonly sizeBytes: number;
  private readonly blob: Blob;
  private readonly chunks = new Map<number, Buffer>();
  private readonly reads = new Map<number, Promise<void>>();

  constructor(blob: Blob) {
    this.sizeBytes = blob.sizeBytes;
    this.blob = blob;
  }

  prepare(start: number, end: number): Promise<void> | undefined {
    const first = Math.floor(start / CHUNK_BYTES);
    const last = Math.floor(Math.max(start, end - 1) / CHUNK_BYTES);
    for (const index of this.chunks.keys()) if (index < first) this.chunks.delete(index);
    const missing = [];
    for (let index = first; index <= last; index++) {
      if (!this.has(index)) missing.push(this.read(index));
    }
    // A read ahead that fails is tried again, and reported, when its bytes are needed.
    if (!this.has(last + 1)) this.read(last + 1).catch(() => undefined);
    return missing.length === 0 ? undefined : Promise.all(missing).then(() => undefined);
  }

  copy(target: Uint8Array, targetStart: number, start: number, end: number): void {
    let position = start;
    while (position < end) {
      const index = Math.floor(position / CHUNK_BYTES);
      const offset = position - index * CHUNK_BYTES;
      const length = Math.min(end - position, CHUNK_BYTES - offset);
      this.chunks.get(index)?.copy(target, targetStart + position - start, offset, offset + length);
      position += length;
    }
  }

  /** True past the end as well, where there is nothing to have. */
  private has(index: number): boolean {
    return index * CHUNK_BYTES >= this.sizeBytes || this.chunks.has(index);
  }

  private read(index: number): Promise<void> {
    const running = this.reads.get(index);
    if (running !== undefined) return running;
    const start = index * CHUNK_BYTES;
    const read = readRange(this.blob, start, Math.min(start + CHUNK_BYTES, this.sizeBytes))
      .then((bytes) => {
        this.chunks.set(index, bytes);
      })
      .finally(() => this.reads.delete(index));
    this.reads.set(index, read);
    return read;
  }
}

/** The bytes from start up to, not including, end. Rejects where the blob holds fewer or more than it promised. */
async function readRange(blob: Blob, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.alloc(end - start);
  let filled = 0;
  if (bytes.length > 0) {
    for await (const piece of blob.read({ start, end: end - 1 })) {
      if (filled + piece.length > bytes.length) throw new RangeError(`blob ${blob.cacheKey} is longer than it says`);
      bytes.set(piece, filled);
      filled += piece.length;
    }
  }
  if (filled < bytes.length) throw new RangeError(`blob ${blob.cacheKey} is shorter than it says`);
  return bytes;
}
