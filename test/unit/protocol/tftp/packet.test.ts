import { describe, expect, it } from 'vitest';
import type { DecodeError } from '../../../../src/protocol/bytes.ts';
import { decodePacket } from '../../../../src/protocol/tftp/decode-packet.ts';
import { encodePacket } from '../../../../src/protocol/tftp/encode-packet.ts';

/** The bytes of a text in which | stands for NUL. */
function bytes(opcode: number, text: string): Buffer {
  return Buffer.concat([Buffer.from([0, opcode]), Buffer.from(text.replaceAll('|', '\0'), 'utf8')]);
}

describe('decodePacket', () => {
  it('reads a request as OVMF sends it: options in order (RFC 2347)', () => {
    expect(decodePacket(bytes(1, 'snponly.efi|octet|tsize|0|blksize|1468|windowsize|4|'))).toEqual({
      kind: 'read-request',
      name: 'snponly.efi',
      mode: 'octet',
      options: new Map([
        ['tsize', '0'],
        ['blksize', '1468'],
        ['windowsize', '4'],
      ]),
    });
  });

  it('takes mode and option names in any case (RFC 1350 §5, RFC 2347)', () => {
    const packet = decodePacket(bytes(1, 'A|OcTeT|BLKSIZE|512|'));
    expect(packet).toMatchObject({ name: 'A', mode: 'octet', options: new Map([['blksize', '512']]) });
  });

  it('counts the first of an option that comes twice (RFC 2347: once only)', () => {
    expect(decodePacket(bytes(1, 'a|octet|blksize|512|BlkSize|1024|'))).toMatchObject({
      options: new Map([['blksize', '512']]),
    });
  });

  it('reads a write request, so that it can be refused', () => {
    expect(decodePacket(bytes(2, 'a|netascii|'))).toMatchObject({ kind: 'write-request', mode: 'netascii' });
  });

  it('passes over the NULs that some ROMs pad a request with', () => {
    expect(decodePacket(bytes(1, 'a|octet|tsize|0|||||'))).toMatchObject({ options: new Map([['tsize', '0']]) });
  });

  it('accepts an error without a message, or without the NUL behind it', () => {
    expect(decodePacket(Buffer.from([0, 5, 0, 8]))).toEqual({ kind: 'error', code: 8, message: '' });
    expect(decodePacket(bytes(5, '\0\u0001gone'))).toEqual({ kind: 'error', code: 1, message: 'gone' });
  });

  it('reads block numbers as unsigned', () => {
    expect(decodePacket(Buffer.from([0, 4, 255, 255]))).toEqual({ kind: 'ack', block: 65535 });
    expect(decodePacket(Buffer.from([0, 3, 128, 0, 7]))).toEqual({
      kind: 'data',
      block: 32768,
      payload: Buffer.from([7]),
    });
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'opcode', 0],
    ['one byte', Buffer.from([0]), 'opcode', 0],
    ['opcode 0', Buffer.from([0, 0]), 'opcode', 0],
    ['opcode 7', Buffer.from([0, 7, 0, 0]), 'opcode', 0],
    ['an ACK without its block', Buffer.from([0, 4, 1]), 'block', 2],
    ['a name without end', bytes(1, 'abc'), 'name', 2],
    ['an empty name', bytes(1, '|octet|'), 'name', 2],
    ['no mode', bytes(1, 'a|'), 'mode', 4],
    ['an unknown mode', bytes(1, 'a|binary|'), 'mode', 4],
    ['an option without a value', bytes(1, 'a|octet|tsize|'), 'option value', 16],
    ['an option value without end', bytes(1, 'a|octet|tsize|0'), 'option value', 16],
    ['an empty option name', bytes(1, 'a|octet||0|'), 'option name', 10],
    ['a request of 513 bytes (RFC 2347)', bytes(1, `${'a'.repeat(504)}|octet|`), 'packet', 512],
  ])('names field and offset of %s', (_what, datagram, field, offset) => {
    expect(() => decodePacket(datagram)).toThrow(expect.objectContaining({ field, offset }) as DecodeError);
  });

  it('takes a request of exactly 512 bytes', () => {
    expect(decodePacket(bytes(1, `${'a'.repeat(503)}|octet|`))).toMatchObject({ kind: 'read-request' });
  });
});

describe('encodePacket', () => {
  it('writes an OACK as RFC 2347 draws it', () => {
    const options = new Map([
      ['blksize', '1468'],
      ['tsize', '10'],
    ]);
    expect(Buffer.from(encodePacket({ kind: 'option-ack', options }))).toEqual(bytes(6, 'blksize|1468|tsize|10|'));
  });

  it('writes an error as RFC 1350 draws it', () => {
    const packet = { kind: 'error', code: 1, message: 'File not found' } as const;
    expect(Buffer.from(encodePacket(packet))).toEqual(bytes(5, '|\u0001File not found|'));
  });
});
