// Bounds-checked reading and writing of big-endian bytes, for every codec. A read past the end is a DecodeError, never undefined.
// Views into the input are never handed out: what a reader returns is a copy, so that a value outlives its datagram.

/** The only thing a codec throws: which field was wrong, and where it began in the input. */
export class DecodeError extends Error {
  readonly field: string;
  readonly offset: number;

  constructor(field: string, offset: number, problem = 'cut short') {
    super(`${field} at byte ${offset}: ${problem}`);
    this.name = 'DecodeError';
    this.field = field;
    this.offset = offset;
  }
}

/** One character a byte (Latin-1), so that no text off the wire is changed or refused. */
export function textFromBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** The inverse of textFromBytes. */
export function bytesFromText(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

/** Reads forward through one input. Every method takes the field's name, for the error. */
export class ByteReader {
  private readonly input: Uint8Array;
  private readonly view: DataView;
  private position = 0;

  constructor(input: Uint8Array) {
    this.input = input;
    this.view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  }

  get offset(): number {
    return this.position;
  }

  get remaining(): number {
    return this.input.length - this.position;
  }

  uint8(field: string): number {
    return this.view.getUint8(this.advance(1, field));
  }

  uint16(field: string): number {
    return this.view.getUint16(this.advance(2, field));
  }

  uint32(field: string): number {
    return this.view.getUint32(this.advance(4, field));
  }

  bytes(length: number, field: string): Uint8Array {
    const start = this.advance(length, field);
    return new Uint8Array(this.input.subarray(start, start + length));
  }

  private advance(length: number, field: string): number {
    if (length > this.remaining) throw new DecodeError(field, this.position);
    const start = this.position;
    this.position += length;
    return start;
  }
}

/** Collects bytes; grows as needed. The inverse of ByteReader. */
export class ByteWriter {
  private buffer: Uint8Array;
  private view: DataView;
  private length = 0;

  constructor(expectedBytes = 512) {
    this.buffer = new Uint8Array(expectedBytes);
    this.view = new DataView(this.buffer.buffer);
  }

  get offset(): number {
    return this.length;
  }

  uint8(value: number): void {
    const start = this.reserve(1);
    this.view.setUint8(start, value);
  }

  uint16(value: number): void {
    const start = this.reserve(2);
    this.view.setUint16(start, value);
  }

  uint32(value: number): void {
    const start = this.reserve(4);
    this.view.setUint32(start, value);
  }

  bytes(value: Uint8Array): void {
    const start = this.reserve(value.length);
    this.buffer.set(value, start);
  }

  zeros(count: number): void {
    this.reserve(Math.max(0, count));
  }

  /** A copy of what was written. */
  toBytes(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }

  /** May replace buffer and view: take the start first, then write. */
  private reserve(count: number): number {
    const start = this.length;
    const needed = start + count;
    if (needed > this.buffer.length) {
      const grown = new Uint8Array(Math.max(needed, this.buffer.length * 2));
      grown.set(this.buffer);
      this.buffer = grown;
      this.view = new DataView(grown.buffer);
    }
    this.length = needed;
    return start;
  }
}
