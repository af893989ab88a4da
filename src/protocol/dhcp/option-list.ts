// A list of options: code, length, value (RFC 2132 §2). The same form is used in the options field, in an overloaded sname or
// file (RFC 2132 §9.3), and inside options 43 and 175. Unknown options stay bytes; nothing here knows what a value means.

import { DecodeError, type ByteReader, type ByteWriter } from '../bytes.ts';
import { OptionCode } from './option-codes.ts';

export type DhcpOptions = ReadonlyMap<number, Uint8Array>;

/** Real clients send fewer than twenty; the limit bounds what a hostile packet can make us keep. */
const MAX_OPTION_INSTANCES = 128;
const MAX_OPTION_LENGTH = 255;

/** Gathers options from one or more fields; a code that comes again is continued, not replaced (RFC 3396 §7). */
export class OptionCollector {
  private readonly pieces = new Map<number, Uint8Array[]>();
  private instances = 0;

  /** Reads up to an End option or the end of the input; a missing End is accepted, as several ROMs leave it out. */
  readAll(reader: ByteReader, field: string): void {
    while (reader.remaining > 0) {
      const offset = reader.offset;
      const code = reader.uint8(field);
      if (code === OptionCode.Pad) continue;
      if (code === OptionCode.End) return;
      this.instances += 1;
      if (this.instances > MAX_OPTION_INSTANCES) throw new DecodeError(field, offset, 'too many options');
      const name = `${field} ${code}`;
      const value = reader.bytes(reader.uint8(name), name);
      const earlier = this.pieces.get(code);
      if (earlier === undefined) this.pieces.set(code, [value]);
      else earlier.push(value);
    }
  }

  /** What was gathered under one code so far, joined. */
  get(code: number): Uint8Array | undefined {
    const pieces = this.pieces.get(code);
    return pieces === undefined ? undefined : joined(pieces);
  }

  toOptions(): DhcpOptions {
    return new Map(Array.from(this.pieces, ([code, pieces]) => [code, joined(pieces)]));
  }
}

/** Writes one option, split when its value is longer than one length byte can say (RFC 3396 §6). */
export function writeOption(writer: ByteWriter, code: number, value: Uint8Array): void {
  let start = 0;
  do {
    const piece = value.subarray(start, start + MAX_OPTION_LENGTH);
    writer.uint8(code);
    writer.uint8(piece.length);
    writer.bytes(piece);
    start += MAX_OPTION_LENGTH;
  } while (start < value.length);
}

/** How many bytes writeOption makes of a value of this length. */
export function writtenOptionLength(valueLength: number): number {
  return valueLength + 2 * Math.max(1, Math.ceil(valueLength / MAX_OPTION_LENGTH));
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(pieces.reduce((total, piece) => total + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}
