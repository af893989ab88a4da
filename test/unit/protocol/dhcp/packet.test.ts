import { describe, expect, it } from 'vitest';
import { bytesFromText, DecodeError } from '../../../../src/protocol/bytes.ts';
import { OptionCode } from '../../../../src/protocol/dhcp/option-codes.ts';
import { decodePacket, encodePacket } from '../../../../src/protocol/dhcp/packet.ts';
import { aDiscover } from '../../../support/boot-builders.ts';

const OPTIONS_START = 240;
const SNAME_START = 44;
const FILE_START = 108;

/** The header of aDiscover() with these bytes for options. */
function datagram(options: readonly number[], fill: { sname?: readonly number[]; file?: readonly number[] } = {}) {
  const bytes = new Uint8Array(OPTIONS_START + options.length);
  bytes.set(encodePacket(aDiscover()).subarray(0, OPTIONS_START));
  bytes.set(fill.sname ?? [], SNAME_START);
  bytes.set(fill.file ?? [], FILE_START);
  bytes.set(options, OPTIONS_START);
  return bytes;
}

function optionsOf(bytes: Uint8Array) {
  return Array.from(decodePacket(bytes).options, ([code, value]) => [code, [...value]]);
}

function errorOf(bytes: Uint8Array): unknown {
  try {
    decodePacket(bytes);
  } catch (error) {
    return error;
  }
  throw new Error('it decoded');
}

/** The codes in the order in which they stand in the datagram. */
function writtenCodes(bytes: Uint8Array): number[] {
  const codes: number[] = [];
  for (let offset = OPTIONS_START; bytes[offset] !== OptionCode.End; offset += 2 + bytes[offset + 1]!) {
    codes.push(bytes[offset]!);
  }
  return codes;
}

describe('decodePacket', () => {
  it('reads the header by RFC 2131 figure 1', () => {
    const bytes = datagram([]);
    bytes.set([2, 1, 6, 3, 0xde, 0xad, 0xbe, 0xef, 0x01, 0x02, 0x80, 0x00]);
    bytes.set([10, 0, 0, 1, 10, 0, 0, 2, 10, 0, 0, 3, 10, 0, 0, 4], 12);
    bytes.set([0xa, 0xb, 0xc, 0xd, 0xe, 0xf], 28);
    bytes.set(bytesFromText('server\0left over'), SNAME_START);
    bytes.set(bytesFromText('boot/loader'), FILE_START);
    expect(decodePacket(bytes)).toEqual({
      op: 2,
      htype: 1,
      hops: 3,
      xid: 0xdeadbeef,
      secs: 0x0102,
      flags: 0x8000,
      ciaddr: '10.0.0.1',
      yiaddr: '10.0.0.2',
      siaddr: '10.0.0.3',
      giaddr: '10.0.0.4',
      chaddr: Uint8Array.of(0xa, 0xb, 0xc, 0xd, 0xe, 0xf),
      sname: 'server',
      file: 'boot/loader',
      options: new Map(),
    });
  });

  it('skips pads and stops at End (RFC 2132 §3.1, §3.2)', () => {
    expect(optionsOf(datagram([0, 0, 53, 1, 1, 0, 255, 60, 1, 1]))).toEqual([[53, [1]]]);
  });

  it('does without End, which several ROMs leave out', () => {
    expect(optionsOf(datagram([53, 1, 1]))).toEqual([[53, [1]]]);
  });

  it('keeps options without a name and options without a value as bytes', () => {
    expect(optionsOf(datagram([234, 2, 7, 8, 80, 0, 255]))).toEqual([
      [234, [7, 8]],
      [80, []],
    ]);
  });

  it('joins an option that comes in pieces (RFC 3396 §7)', () => {
    expect(optionsOf(datagram([67, 2, 1, 2, 53, 1, 1, 67, 1, 3, 255]))).toEqual([
      [67, [1, 2, 3]],
      [53, [1]],
    ]);
  });

  it('reads options in file, then in sname, when option 52 says so, and then no names (RFC 3396 §5)', () => {
    const packet = decodePacket(datagram([67, 1, 1, 52, 1, 3], { file: [67, 1, 2, 255], sname: [67, 1, 3] }));
    expect(packet.options).toEqual(new Map([[67, Uint8Array.of(1, 2, 3)]]));
    expect(packet).toMatchObject({ file: '', sname: '' });
  });

  it('leaves a field that is not overloaded alone (RFC 2132 §9.3)', () => {
    const file = [...bytesFromText('a.efi')];
    expect(decodePacket(datagram([52, 1, 2, 255], { file, sname: [60, 1, 65] }))).toMatchObject({
      file: 'a.efi',
      sname: '',
      options: new Map([[60, Uint8Array.of(65)]]),
    });
  });

  it('does not read options again in an overloaded field that names the overload option itself', () => {
    expect(optionsOf(datagram([52, 1, 1], { file: [52, 1, 2, 255], sname: [60, 1, 65] }))).toEqual([]);
  });

  it('keeps no view into the datagram, which the socket may use again', () => {
    const bytes = Buffer.from(datagram([53, 1, 1]));
    const packet = decodePacket(bytes);
    bytes.fill(0xee);
    expect(packet).toMatchObject({ options: new Map([[53, Uint8Array.of(1)]]), chaddr: aDiscover().chaddr });
  });

  it.each([
    ['an empty datagram', new Uint8Array(), 'op', 0],
    ['a datagram that ends in the header', datagram([]).subarray(0, 100), 'sname', 44],
    ['a datagram that ends before the cookie', datagram([]).subarray(0, 238), 'magic cookie', 236],
    ['BOOTP without the cookie', datagram([]).fill(0, 236, 240), 'magic cookie', 236],
    ['an hlen above 16', datagram([]).fill(17, 2, 3), 'hlen', 2],
    ['an option without a length', datagram([53, 1, 1, 60]), 'option 60', 244],
    ['an option longer than the datagram', datagram([53, 2, 1]), 'option 53', 242],
    [
      'an option longer than the field it overloads',
      datagram([52, 1, 2], { sname: [60, 63] }),
      'option in sname 60',
      2,
    ],
    ['an overload of nothing', datagram([52, 1, 0]), 'option 52', 240],
    ['129 options', datagram(Array.from({ length: 129 }, () => [80, 0]).flat()), 'option', 496],
  ])('refuses %s and says where', (_, bytes, field, offset) => {
    const error = errorOf(bytes);
    expect(error).toBeInstanceOf(DecodeError);
    expect(error).toMatchObject({ field, offset });
  });
});

describe('encodePacket', () => {
  it('makes at least 300 bytes, which old relays and ROMs want (RFC 1542 §2.1)', () => {
    expect(encodePacket(aDiscover([], { options: new Map() }))).toHaveLength(300);
  });

  it('writes 53 first, 67 next to last and 82 last (RFC 3046 §2.2)', () => {
    const one = Uint8Array.of(1);
    const options = new Map([82, 67, 97, 43, 53, 60].map((code) => [code, one]));
    expect(writtenCodes(encodePacket(aDiscover([], { options })))).toEqual([53, 43, 60, 97, 67, 82]);
  });

  it('splits an option that is longer than 255 bytes (RFC 3396 §6)', () => {
    const value = new Uint8Array(600).map((_, index) => index);
    const bytes = encodePacket(aDiscover([], { options: new Map([[67, value]]) }));
    expect(writtenCodes(bytes)).toEqual([67, 67, 67]);
    expect(decodePacket(bytes).options.get(67)).toEqual(value);
  });

  it('ends sname and file with a NUL, however long the names (RFC 2131 §2)', () => {
    const bytes = encodePacket(aDiscover([], { sname: 's'.repeat(64), file: 'f'.repeat(200) }));
    expect(bytes[SNAME_START + 63]).toBe(0);
    expect(bytes[FILE_START + 127]).toBe(0);
    expect(decodePacket(bytes)).toMatchObject({ sname: 's'.repeat(63), file: 'f'.repeat(127) });
  });

  it('leaves out whole options to stay within the limit, the least needed first, and 82 never before others', () => {
    const options = new Map([
      [97, new Uint8Array(17)],
      [12, new Uint8Array(200)],
      [61, new Uint8Array(100)],
      [67, new Uint8Array(60)],
      [82, new Uint8Array(50)],
      [53, Uint8Array.of(2)],
    ]);
    const bytes = encodePacket(aDiscover([], { options }), 400);
    expect(bytes.length).toBeLessThanOrEqual(400);
    expect(writtenCodes(bytes)).toEqual([53, 97, 67, 82]);
  });

  it('fills the limit to the last byte', () => {
    const options = new Map([[97, new Uint8Array(60)]]);
    expect(encodePacket(aDiscover([], { options }), 303)).toHaveLength(303);
    expect(writtenCodes(encodePacket(aDiscover([], { options }), 302))).toEqual([]);
  });

  it('writes no option that belongs to the encoding itself: pad, overload, end', () => {
    const options = new Map([0, 52, 255, 53].map((code) => [code, Uint8Array.of(3)]));
    expect(writtenCodes(encodePacket(aDiscover([], { options })))).toEqual([53]);
  });

  it('refuses an address that is none: settings are checked long before', () => {
    expect(() => encodePacket(aDiscover([], { siaddr: '10.0.0' }))).toThrow('Not an IPv4 address');
  });
});
