// Sparse files of GNU tar: the old 'S' header and the pax forms 0.0, 0.1 and 1.0 (GNU tar manual, "Storing Sparse Files").
// Pure: from map and stored bytes to the file at its full size, holes as zeros.
import { FlattenRefusal } from './flatten-refusal.ts';
import type { PaxRecord } from './pax-records.ts';
import { tarNumber } from './tar-header.ts';

/** Half a million holes: more than any file system makes of a real file. */
const MAX_NUMBERS = 1_000_000;

export interface SparseSegment {
  readonly offset: number;
  readonly length: number;
}

/** Where the map stands: in the pax header, before the data (pax 1.0), or in blocks after the header (old GNU). */
export type SparseForm = 'pax-1.0' | 'gnu' | readonly SparseSegment[];

export interface SparseFile {
  readonly form: SparseForm;
  readonly sizeBytes: number;
  readonly name?: string;
}

/** What pax records tell of a sparse file; undefined for a plain one. */
export function sparseOf(records: readonly PaxRecord[]): SparseFile | undefined {
  if (records.length === 0) return undefined;
  const values = new Map(records);
  const name = values.get('GNU.sparse.name');
  const named = name === undefined || name === '' ? {} : { name };
  if (values.get('GNU.sparse.major') === '1' && values.get('GNU.sparse.minor') === '0') {
    return { form: 'pax-1.0', sizeBytes: decimal(values.get('GNU.sparse.realsize')), ...named };
  }
  const size = values.get('GNU.sparse.size');
  if (size === undefined) {
    if (records.some(([key]) => key.startsWith('GNU.sparse.'))) throw wrong('its version is not known');
    return undefined;
  }
  const list = values.get('GNU.sparse.map');
  const numbers =
    list === undefined
      ? records
          .filter(([key]) => key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes')
          .map(([, value]) => value)
      : list.split(',').filter((value) => value !== '');
  return { form: pairs(numbers.map(decimal)), sizeBytes: decimal(size), ...named };
}

/** The segments in an old GNU header (4 at byte 386) or in one of its extension blocks (21 at byte 0). */
export function decodeGnuSegments(
  block: Buffer,
  where: 'header' | 'extension',
): { segments: SparseSegment[]; more: boolean } {
  const [start, count, moreAt] = where === 'header' ? [386, 4, 482] : [0, 21, 504];
  const segments: SparseSegment[] = [];
  for (let at = start; at < start + count * 24 && block[at] !== 0; at += 24) {
    segments.push({ offset: tarNumber(block, at, 12), length: tarNumber(block, at + 12, 12) });
  }
  return { segments, more: block[moreAt] !== 0 };
}

/** The full size in an old GNU header. */
export function gnuRealSize(block: Buffer): number {
  return tarNumber(block, 483, 12);
}

/** The map that pax 1.0 puts before the data: a count, then offsets and lengths, one number a line, padded to a block. */
export class LeadingMapReader {
  private readonly numbers: number[] = [];
  private rest = '';

  /** Takes one block; the map once it is whole. */
  push(block: Buffer): readonly SparseSegment[] | undefined {
    const lines = (this.rest + block.toString('latin1')).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      if (this.isWhole()) break;
      this.numbers.push(decimal(line));
    }
    if (this.isWhole()) return pairs(this.numbers.slice(1));
    if (this.rest.length > 20 || this.numbers.length > MAX_NUMBERS) throw wrong('it does not end');
    return undefined;
  }

  private isWhole(): boolean {
    const count = this.numbers[0];
    return count !== undefined && this.numbers.length > count * 2;
  }
}

/** Segments in order, apart, inside the file, and together exactly what is stored. */
export function verifySparseMap(map: readonly SparseSegment[], sizeBytes: number, storedBytes: number): void {
  let end = 0;
  let stored = 0;
  for (const segment of map) {
    if (segment.offset < end || segment.length < 0) throw wrong('its segments overlap or are out of order');
    end = segment.offset + segment.length;
    stored += segment.length;
  }
  if (end > sizeBytes) throw wrong('a segment ends behind the file');
  if (stored !== storedBytes) throw wrong('it does not cover the stored bytes');
}

function pairs(numbers: readonly number[]): SparseSegment[] {
  const segments: SparseSegment[] = [];
  for (let at = 0; at < numbers.length; at += 2) {
    const [offset, length] = [numbers[at], numbers[at + 1]];
    if (offset === undefined || length === undefined) throw wrong('it has an offset without a length');
    segments.push({ offset, length });
  }
  return segments;
}

function decimal(text: string | undefined): number {
  if (text === undefined || !/^[0-9]{1,19}$/.test(text)) throw wrong('it has a number that is not decimal');
  return Number(text);
}

function wrong(what: string): FlattenRefusal {
  return new FlattenRefusal('bad-sparse-map', `A sparse file's map is wrong: ${what}`);
}
