// Reads one layer's tar, piece by piece, into entries and their contents at full size. Holds one header or 256 KiB at most,
// whatever the tar claims. Not tar-stream: that decodes pax values as UTF-8, which breaks `security.capability`, goes on
// behind the end mark, where container runtimes stop, and knows no sparse files.
import { MAX_TAR_METADATA_BYTES } from './flatten-limits.ts';
import { FlattenRefusal, quoteName } from './flatten-refusal.ts';
import { decodePaxRecords, type PaxRecord } from './pax-records.ts';
import { decodeGnuSegments, LeadingMapReader, verifySparseMap, type SparseSegment } from './sparse-map.ts';
import { tarEntry, type EntryPrelude, type TarEntry } from './tar-entry.ts';
import { BLOCK_BYTES, decodeTarHeader, isZero, type TarHeader } from './tar-header.ts';

export type TarEvent =
  | { readonly kind: 'entry'; readonly entry: TarEntry }
  /** Contents of the file that was last announced. */
  | { readonly kind: 'data'; readonly bytes: Buffer }
  /** The file that was last announced is complete. */
  | { readonly kind: 'end' };

type State =
  | { readonly kind: 'header' }
  /** A pax header or a long name, of `sizeBytes`, in the block that is being filled. */
  | { readonly kind: 'metadata'; readonly type: string; readonly sizeBytes: number }
  | { readonly kind: 'gnu-map'; readonly entry: TarEntry; readonly segments: SparseSegment[] }
  | {
      readonly kind: 'pax-map';
      readonly entry: TarEntry;
      readonly reader: LeadingMapReader;
      readonly leftBytes: number;
    }
  /** One block of zeros was read: the next has to be the second. */
  | { readonly kind: 'half-end' }
  | { readonly kind: 'end' };

const HOLE = Buffer.alloc(256 * 1024);
const NO_RECORDS: readonly PaxRecord[] = [];
const MAX_GNU_SEGMENTS = 500_000;

export class TarReader {
  private state: State = { kind: 'header' };
  private block = Buffer.alloc(BLOCK_BYTES);
  private filled = 0;
  /** Contents still to come in the current segment, and behind it the padding to a full block. */
  private contentLeft = 0;
  private paddingLeft = 0;
  private pax = NO_RECORDS;
  private longName: string | undefined;
  private longLinkName: string | undefined;
  private holes: { readonly map: readonly SparseSegment[]; readonly sizeBytes: number } | undefined;
  private segment = 0;
  private position = 0;

  /** Throws FlattenRefusal. The bytes that come out are parts of `chunk`: use or copy them before it is reused. */
  *push(chunk: Buffer): Generator<TarEvent, void> {
    let at = 0;
    while (at < chunk.length) {
      if (this.state.kind === 'end') {
        if (!isZero(chunk.subarray(at)))
          throw new FlattenRefusal('trailing-data', 'A layer goes on behind its end mark');
        return;
      }
      if (this.contentLeft > 0) {
        const bytes = chunk.subarray(at, at + this.contentLeft);
        at += bytes.length;
        this.contentLeft -= bytes.length;
        yield* this.content(bytes);
        if (this.contentLeft === 0) yield* this.endOfFile();
      } else if (this.paddingLeft > 0) {
        const skipped = Math.min(this.paddingLeft, chunk.length - at);
        at += skipped;
        this.paddingLeft -= skipped;
      } else {
        const copied = chunk.copy(this.block, this.filled, at);
        at += copied;
        this.filled += copied;
        if (this.filled === this.block.length) yield* this.onBlock();
      }
    }
  }

  /**
   * Tells that no more bytes come. A tar without its end mark is complete where the content of an entry ends, as Go's archive/tar
   * has it: `umoci insert` leaves out the padding too.
   */
  finish(): void {
    const between = this.state.kind === 'header' || this.state.kind === 'half-end' || this.state.kind === 'end';
    const pending = this.pax.length > 0 || this.longName !== undefined || this.longLinkName !== undefined;
    if (!between || pending || this.filled > 0 || this.contentLeft > 0) {
      throw new FlattenRefusal('truncated', 'A layer ends in the middle of an entry');
    }
  }

  private *onBlock(): Generator<TarEvent, void> {
    const block = this.block;
    const state = this.state;
    this.filled = 0;
    switch (state.kind) {
      case 'header':
      case 'half-end':
        yield* this.onHeader(block, state.kind);
        return;
      case 'metadata':
        this.block = Buffer.alloc(BLOCK_BYTES);
        this.state = { kind: 'header' };
        this.onMetadata(state.type, block.subarray(0, state.sizeBytes));
        return;
      case 'gnu-map':
        yield* this.onGnuSegments(state.entry, state.segments, decodeGnuSegments(block, 'extension'));
        return;
      case 'pax-map': {
        const map = state.reader.push(block);
        const leftBytes = state.leftBytes - BLOCK_BYTES;
        if (map !== undefined) yield* this.beginSparse(state.entry, map, leftBytes);
        else if (leftBytes < BLOCK_BYTES)
          throw new FlattenRefusal('bad-sparse-map', 'A sparse map is longer than its file');
        else this.state = { ...state, leftBytes };
        return;
      }
      case 'end':
        return;
    }
  }

  private *onHeader(block: Buffer, state: 'header' | 'half-end'): Generator<TarEvent, void> {
    const header = decodeTarHeader(block);
    if (header === undefined) {
      if (this.pax.length > 0 || this.longName !== undefined || this.longLinkName !== undefined) {
        throw new FlattenRefusal('truncated', 'A layer ends behind a header that announces another');
      }
      this.state = { kind: state === 'header' ? 'half-end' : 'end' };
      return;
    }
    if (state === 'half-end') throw new FlattenRefusal('bad-header', 'A layer has half an end mark between entries');
    if (header.type === 'x' || header.type === 'g' || header.type === 'L' || header.type === 'K') {
      this.beginMetadata(header);
      return;
    }
    const entry = tarEntry(header, this.takePrelude(), block);
    yield { kind: 'entry', entry };
    if (entry.type !== 'file') return;
    if (entry.sparse === undefined) yield* this.beginFile(entry.storedBytes);
    else if (entry.sparse === 'gnu') yield* this.onGnuSegments(entry, [], decodeGnuSegments(block, 'header'));
    else if (entry.sparse === 'pax-1.0') this.beginLeadingMap(entry);
    else yield* this.beginSparse(entry, entry.sparse, entry.storedBytes);
  }

  private beginMetadata(header: TarHeader): void {
    const { type, sizeBytes } = header;
    if (sizeBytes < 0) throw new FlattenRefusal('negative-size', `A tar header of type ${type} has a negative size`);
    if (sizeBytes > MAX_TAR_METADATA_BYTES) {
      throw new FlattenRefusal('metadata-too-large', `A tar header of type ${type} has ${sizeBytes} bytes`);
    }
    if (sizeBytes === 0) return;
    this.block = Buffer.alloc(Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES);
    this.state = { kind: 'metadata', type, sizeBytes };
  }

  private onMetadata(type: string, bytes: Buffer): void {
    if (type === 'x') this.pax = decodePaxRecords(bytes);
    else if (type === 'L') this.longName = untilNul(bytes);
    else if (type === 'K') this.longLinkName = untilNul(bytes);
    // Global records ('g') say nothing about one entry: container runtimes ignore them.
  }

  private takePrelude(): EntryPrelude {
    const { pax, longName, longLinkName } = this;
    this.pax = NO_RECORDS;
    this.longName = undefined;
    this.longLinkName = undefined;
    return { pax, longName, longLinkName };
  }

  private *onGnuSegments(
    entry: TarEntry,
    before: SparseSegment[],
    found: { readonly segments: readonly SparseSegment[]; readonly more: boolean },
  ): Generator<TarEvent, void> {
    before.push(...found.segments);
    if (before.length > MAX_GNU_SEGMENTS)
      throw new FlattenRefusal('bad-sparse-map', `${quoteName(entry.name)} has too many holes`);
    if (found.more) this.state = { kind: 'gnu-map', entry, segments: before };
    else yield* this.beginSparse(entry, before, entry.storedBytes);
  }

  private beginLeadingMap(entry: TarEntry): void {
    if (entry.storedBytes < BLOCK_BYTES)
      throw new FlattenRefusal('bad-sparse-map', `${quoteName(entry.name)} lacks its sparse map`);
    this.state = { kind: 'pax-map', entry, reader: new LeadingMapReader(), leftBytes: entry.storedBytes };
  }

  private *beginSparse(entry: TarEntry, map: readonly SparseSegment[], storedBytes: number): Generator<TarEvent, void> {
    verifySparseMap(map, entry.sizeBytes, storedBytes);
    this.holes = { map, sizeBytes: entry.sizeBytes };
    this.segment = 0;
    this.position = 0;
    this.state = { kind: 'header' };
    yield* this.beginFile(storedBytes);
  }

  private *beginFile(storedBytes: number): Generator<TarEvent, void> {
    this.contentLeft = storedBytes;
    this.paddingLeft = (BLOCK_BYTES - (storedBytes % BLOCK_BYTES)) % BLOCK_BYTES;
    if (storedBytes === 0) yield* this.endOfFile();
  }

  private *content(bytes: Buffer): Generator<TarEvent, void> {
    if (this.holes === undefined) {
      yield { kind: 'data', bytes };
      return;
    }
    let at = 0;
    while (at < bytes.length) {
      const segment = this.holes.map[this.segment];
      if (segment === undefined) return;
      yield* this.zerosUntil(segment.offset);
      const piece = bytes.subarray(at, at + segment.offset + segment.length - this.position);
      if (piece.length > 0) yield { kind: 'data', bytes: piece };
      at += piece.length;
      this.position += piece.length;
      if (this.position === segment.offset + segment.length) this.segment += 1;
    }
  }

  private *endOfFile(): Generator<TarEvent, void> {
    if (this.holes !== undefined) yield* this.zerosUntil(this.holes.sizeBytes);
    this.holes = undefined;
    yield { kind: 'end' };
  }

  private *zerosUntil(offset: number): Generator<TarEvent, void> {
    while (this.position < offset) {
      const bytes = HOLE.subarray(0, Math.min(HOLE.length, offset - this.position));
      this.position += bytes.length;
      yield { kind: 'data', bytes };
    }
  }
}

function untilNul(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end === -1 ? bytes.length : end);
}
