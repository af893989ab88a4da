import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeError } from '../../src/protocol/bytes.ts';
import { decodePacket } from '../../src/protocol/tftp/decode-packet.ts';
import { encodePacket } from '../../src/protocol/tftp/encode-packet.ts';
import type { TftpPacket } from '../../src/protocol/tftp/packet.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { mutate, tftpSeeds } from '../support/tftp-mutations.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((value) => !value.includes('\0'));
const name = text.filter((value) => value !== '' && value === Buffer.from(value, 'utf8').toString('utf8'));
const optionName = name.map((value) => value.toLowerCase()).filter((value) => value === value.toLowerCase());
const optionMap = fc.array(fc.tuple(optionName, text), { maxLength: 2 }).map((pairs) => new Map(pairs));
const uint16 = fc.nat({ max: 0xffff });

const packets: fc.Arbitrary<TftpPacket> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('read-request' as const, 'write-request' as const),
    name,
    mode: fc.constantFrom('octet' as const, 'netascii' as const, 'mail' as const),
    options: optionMap,
  }),
  fc.record({ kind: fc.constant('data' as const), block: uint16, payload: fc.uint8Array() }),
  fc.record({ kind: fc.constant('ack' as const), block: uint16 }),
  fc.record({ kind: fc.constant('error' as const), code: uint16, message: text }),
  fc.record({ kind: fc.constant('option-ack' as const), options: optionMap }),
);

describe('the TFTP codec', () => {
  it('decodes what it encodes to the same packet', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        const datagram = encodePacket(packet);
        fc.pre(datagram.length <= 512 || packet.kind === 'data' || packet.kind === 'error');
        expect(decodePacket(datagram)).toEqual(packet);
      }),
    );
  });

  it('answers 500 000 mutated packets with a packet or a DecodeError, never anything else', () => {
    const random = new SeededRandom(0x7f7f);
    const seeds = tftpSeeds();
    let decoded = 0;
    for (let i = 0; i < 500_000; i++) {
      const datagram = mutate(seeds[i % seeds.length]!, random);
      try {
        decodePacket(datagram);
        decoded += 1;
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        expect(error.offset).toBeLessThanOrEqual(datagram.length);
      }
    }
    // Both ways were taken, or the mutations would prove nothing.
    expect(decoded).toBeGreaterThan(50_000);
    expect(decoded).toBeLessThan(450_000);
  });
});
