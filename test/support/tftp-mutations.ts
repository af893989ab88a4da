// Valid TFTP packets and ways to spoil them, from a seed: the same packets in every run.
import { encodePacket } from '../../src/protocol/tftp/encode-packet.ts';
import type { SeededRandom } from './seeded-random.ts';
import { aRequest } from './tftp-builders.ts';

export function tftpSeeds(): readonly Buffer[] {
  return [
    encodePacket(aRequest({ tsize: '0', blksize: '1468', windowsize: '4' })),
    encodePacket(aRequest({ blksize: '1432', tsize: '0' }, { name: 'autoexec.ipxe' })),
    encodePacket(aRequest({}, { kind: 'write-request', mode: 'netascii' })),
    encodePacket({ kind: 'data', block: 1, payload: new Uint8Array(64) }),
    encodePacket({ kind: 'ack', block: 65_535 }),
    encodePacket({ kind: 'error', code: 8, message: 'User aborted the transfer' }),
    encodePacket({ kind: 'option-ack', options: new Map([['blksize', '1468']]) }),
  ].map((datagram) => Buffer.from(datagram));
}

/** One to four changes: a byte, a bit, a cut, a doubled piece, bytes in between. */
export function mutate(seed: Buffer, random: SeededRandom): Buffer {
  let bytes = Buffer.from(seed);
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    const at = bytes.length === 0 ? 0 : random.below(bytes.length);
    switch (random.below(5)) {
      case 0:
        if (bytes.length > 0) bytes[at] = random.below(256);
        break;
      case 1:
        if (bytes.length > 0) bytes[at] = bytes[at]! ^ (1 << random.below(8));
        break;
      case 2:
        bytes = bytes.subarray(0, at);
        break;
      case 3:
        bytes = Buffer.concat([bytes, bytes.subarray(at)]);
        break;
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.alloc(random.below(600)), bytes.subarray(at)]);
    }
  }
  return bytes;
}
