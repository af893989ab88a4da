// Symmetry: what the DHCP codecs write, they read back as the same value, for all packets within the documented lengths.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { textFromBytes } from '../../src/protocol/bytes.ts';
import { decodeEncapsulatedOptions, encodeEncapsulatedOptions } from '../../src/protocol/dhcp/encapsulated-options.ts';
import { OptionCode } from '../../src/protocol/dhcp/option-codes.ts';
import { decodePacket, encodePacket, type DhcpPacket } from '../../src/protocol/dhcp/packet.ts';

const SEED = 0x2131;

const byte = fc.integer({ min: 0, max: 0xff });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((value) => new Uint8Array(value));
const address = fc.ipV4();
const text = (maxLength: number) => fc.uint8Array({ maxLength, min: 1 }).map(textFromBytes);

const WRITTEN_BY_THE_CODEC: readonly number[] = [OptionCode.Pad, OptionCode.Overload, OptionCode.End];
const code = byte.filter((number) => !WRITTEN_BY_THE_CODEC.includes(number));
/** Up to 30 options, a few of them long enough to be split in up to four: below the limit of 128 pieces. */
const options = fc
  .array(fc.tuple(code, fc.oneof({ weight: 9, arbitrary: bytes(60) }, { weight: 1, arbitrary: bytes(1000) })), {
    maxLength: 30,
  })
  .map((entries) => new Map(entries));

const packet: fc.Arbitrary<DhcpPacket> = fc.record({
  op: byte,
  htype: byte,
  hops: byte,
  xid: fc.nat({ max: 0xffffffff }),
  secs: fc.nat({ max: 0xffff }),
  flags: fc.nat({ max: 0xffff }),
  ciaddr: address,
  yiaddr: address,
  siaddr: address,
  giaddr: address,
  chaddr: bytes(16),
  sname: text(63),
  file: text(127),
  options,
});

describe('the DHCP codec', () => {
  it('reads back every packet that it wrote', () => {
    fc.assert(
      fc.property(packet, (value) => {
        expect(decodePacket(encodePacket(value))).toEqual(value);
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });

  it('never writes more than the limit, nor less than 300 bytes, and what is left reads back unchanged', () => {
    fc.assert(
      fc.property(packet, fc.integer({ min: 0, max: 2000 }), (value, limit) => {
        const encoded = encodePacket(value, limit);
        expect(encoded.length).toBeGreaterThanOrEqual(300);
        expect(encoded.length).toBeLessThanOrEqual(Math.max(limit, 300));
        const decoded = decodePacket(encoded);
        const kept = new Map(Array.from(value.options).filter(([number]) => decoded.options.has(number)));
        expect(decoded).toEqual({ ...value, options: kept });
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });

  it('reads back every list of encapsulated options that it wrote', () => {
    fc.assert(
      fc.property(options, (value) => {
        const inner = new Map(value);
        expect(decodeEncapsulatedOptions(encodeEncapsulatedOptions(inner))).toEqual(inner);
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });
});
