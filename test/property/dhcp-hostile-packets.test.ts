// Hostile datagrams: half a million mutations of captured packets, and the worst shapes we could think of.
// Nothing but a DecodeError may come out of them, and what decodes must go all the way to an answer.

import { readdirSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeReply } from '../../src/boot/build-reply.ts';
import { decideOffer } from '../../src/boot/decide-offer.ts';
import { identifyClient } from '../../src/boot/identify-client.ts';
import { replyRoute } from '../../src/boot/reply-route.ts';
import { DecodeError } from '../../src/protocol/bytes.ts';
import { decodePacket, encodePacket, type DhcpPacket } from '../../src/protocol/dhcp/packet.ts';
import { aDiscover, aPolicy, SERVER_ADDRESS } from '../support/boot-builders.ts';
import { readUdpDatagrams } from '../support/pcap.ts';

const RUNS = 20;
const PACKETS_A_RUN = 25_000;
const SEED = 0x4578;

/** Distinct captured packets, client's and servers', DHCPv6 too: those are garbage to this codec. */
function readCorpus(): readonly Uint8Array[] {
  const captures = new URL('../golden/captures/', import.meta.url);
  const payloads = readdirSync(captures)
    .flatMap((file) => readUdpDatagrams(readFileSync(new URL(file, captures))))
    .filter(({ destination }) => [67, 68, 4011, 547].includes(destination.port))
    .map(({ payload }) => payload);
  return [...new Map(payloads.map((payload) => [Buffer.from(payload).toString('hex'), payload])).values()];
}

type Random = (below: number) => number;

/** Small and fast (mulberry32): fast-check makes its seed, and prints it when a run fails. */
function randomFrom(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const MUTATIONS: readonly ((packet: Uint8Array, random: Random) => Uint8Array)[] = [
  function flipBit(packet, random) {
    const at = random(packet.length);
    packet[at] = (packet[at] ?? 0) ^ (1 << random(8));
    return packet;
  },
  function setByte(packet, random) {
    packet[random(packet.length)] = [0, 1, 52, 53, 82, 127, 254, 255][random(8)] ?? 0;
    return packet;
  },
  function setOptionByte(packet, random) {
    if (packet.length > 240) packet[240 + random(packet.length - 240)] = random(256);
    return packet;
  },
  function truncate(packet, random) {
    return packet.subarray(0, random(packet.length + 1));
  },
  function insert(packet, random) {
    const at = random(packet.length + 1);
    const extra = Uint8Array.from({ length: 1 + random(40) }, () => random(256));
    return Buffer.concat([packet.subarray(0, at), extra, packet.subarray(at)]);
  },
  function repeatTail(packet, random) {
    return Buffer.concat([packet, packet.subarray(random(packet.length))]);
  },
];

function mutated(original: Uint8Array, random: Random): Uint8Array {
  let packet: Uint8Array = original.slice();
  for (let left = 1 + random(4); left > 0 && packet.length > 0; left -= 1) {
    packet = MUTATIONS[random(MUTATIONS.length)]?.(packet, random) ?? packet;
  }
  return packet;
}

type Outcome = 'refused' | 'ignored' | 'offer' | 'silence' | 'no-loader';

function decodeOrRefuse(datagram: Uint8Array): DhcpPacket | undefined {
  try {
    return decodePacket(datagram);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

const POLICY = aPolicy();

/** Whatever decoded has one encoding, which does not change again. */
function expectStableEncoding(packet: DhcpPacket): void {
  const encoded = encodePacket(packet);
  const again = encodePacket(decodePacket(encoded));
  if (Buffer.compare(encoded, again) !== 0) throw new Error('the second round trip differs from the first');
}

/** The whole way of a datagram, as the server takes it. */
function process67or4011(datagram: Uint8Array, random: Random): Outcome {
  const packet = decodeOrRefuse(datagram);
  if (packet === undefined) return 'refused';
  if (random(8) === 0) expectStableEncoding(packet);

  const port = random(2) === 0 ? 67 : 4011;
  const client = identifyClient(packet, { port, ownAddresses: [SERVER_ADDRESS] });
  if (client.kind === 'ignored') return 'ignored';
  const decision = decideOffer(client, POLICY);
  if (decision.kind !== 'offer') return decision.kind;
  const reply = encodeReply(packet, decision.reply);
  if (reply.length < 300 || reply.length > 1472) throw new Error(`a reply of ${reply.length} bytes`);
  replyRoute(packet, { address: '192.0.2.9', port: 68 }, port);
  return 'offer';
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function usedHeapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

describe('hostile datagrams', () => {
  it(
    `${RUNS * PACKETS_A_RUN} mutations of captured packets raise nothing but DecodeError and leave nothing behind`,
    { timeout: 120_000 },
    () => {
      const corpus = readCorpus();
      const tally: Record<Outcome, number> = { refused: 0, ignored: 0, offer: 0, silence: 0, 'no-loader': 0 };
      const before = usedHeapBytes();
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          const random = randomFrom(seed);
          for (let count = 0; count < PACKETS_A_RUN; count += 1) {
            const datagram = mutated(corpus[random(corpus.length)] ?? new Uint8Array(), random);
            try {
              tally[process67or4011(datagram, random)] += 1;
            } catch (error) {
              throw new Error(`on ${Buffer.from(datagram).toString('hex')}`, { cause: error });
            }
          }
        }),
        { seed: SEED, numRuns: RUNS, endOnFailure: true },
      );
      expect(usedHeapBytes() - before).toBeLessThan(8 * 1024 * 1024);
      // Mutations that never got past the decoder would prove nothing about the rest.
      expect(tally.refused).toBeGreaterThan(10_000);
      expect(tally.ignored).toBeGreaterThan(10_000);
      expect(tally.offer).toBeGreaterThan(10_000);
    },
  );

  it('random bytes behind a sound header raise nothing but DecodeError', () => {
    const header = encodePacket(aDiscover()).subarray(0, 240);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.integer(), (options, seed) => {
        process67or4011(Uint8Array.of(...header, ...options), randomFrom(seed));
      }),
      { seed: SEED, numRuns: 5000 },
    );
  });

  it.each([
    ['65,267 pads', () => 0],
    ['65,267 End options', () => 255],
    ['nothing but empty options', (at: number) => (at % 2 === 0 ? 80 : 0)],
    ['nothing but full options, all one to be joined', (at: number) => (at % 257 === 0 ? 67 : 255)],
  ])('the largest datagram with %s is dealt with at once', (_, byteAt) => {
    const datagram = new Uint8Array(65_507);
    datagram.set(encodePacket(aDiscover()).subarray(0, 240));
    for (let at = 240; at < datagram.length; at += 1) datagram[at] = byteAt(at - 240);
    const started = performance.now();
    decodeOrRefuse(datagram);
    expect(performance.now() - started).toBeLessThan(250);
  });
});
