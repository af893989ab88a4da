import { describe, expect, it } from 'vitest';
import { ByteReader, bytesFromText, ByteWriter, DecodeError, textFromBytes } from '../../../src/protocol/bytes.ts';

describe('ByteReader', () => {
  it('reads big-endian, as networks write', () => {
    const reader = new ByteReader(Uint8Array.of(1, 0xff, 2, 0xff, 0, 0, 3, 9, 8));
    expect([reader.uint8('a'), reader.uint16('b'), reader.uint32('c')]).toEqual([1, 0xff02, 0xff000003]);
    expect(reader.bytes(2, 'd')).toEqual(Uint8Array.of(9, 8));
    expect(reader.remaining).toBe(0);
  });

  it('reads within a slice of a larger buffer, as sockets hand them out', () => {
    const slice = Buffer.from([1, 2, 3, 4]).subarray(1, 3);
    const reader = new ByteReader(slice);
    expect(reader.uint16('two')).toBe(0x0203);
    expect(() => reader.uint8('more')).toThrow(DecodeError);
  });

  it('names the field and the place of a read past the end, and does not move', () => {
    const reader = new ByteReader(Uint8Array.of(1, 2, 3));
    reader.uint8('first');
    expect(() => reader.uint32('second')).toThrow('second at byte 1: cut short');
    expect(reader.offset).toBe(1);
  });
});

describe('ByteWriter', () => {
  it('grows in the middle of every kind of write', () => {
    const writer = new ByteWriter(1);
    writer.uint8(1);
    writer.uint16(0x0203);
    writer.uint32(0x04050607);
    writer.bytes(Uint8Array.of(8, 9));
    writer.zeros(2);
    writer.zeros(-1);
    expect([...writer.toBytes()]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0]);
  });

  it('hands out a copy', () => {
    const writer = new ByteWriter();
    writer.uint8(1);
    const before = writer.toBytes();
    writer.uint8(2);
    expect([...before]).toEqual([1]);
  });
});

describe('text', () => {
  it('keeps each byte, whatever the encoding was meant to be', () => {
    const all = Uint8Array.from({ length: 256 }, (_, index) => index);
    expect(bytesFromText(textFromBytes(all))).toEqual(all);
  });
});
