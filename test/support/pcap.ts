// Reads UDP datagrams out of packet captures, classic pcap and pcapng, Ethernet only. Enough for the captures in test/golden.

export interface CapturedDatagram {
  /** Counted from 1 over all frames of the file, as tcpdump and Wireshark do. */
  readonly frame: number;
  readonly family: 4 | 6;
  readonly source: { readonly address: string; readonly port: number };
  readonly destination: { readonly address: string; readonly port: number };
  readonly payload: Uint8Array;
}

export function readUdpDatagrams(file: Buffer): CapturedDatagram[] {
  return readFrames(file).flatMap((frame, index) => udpOfFrame(frame, index + 1) ?? []);
}

const PCAPNG_SECTION_HEADER = 0x0a0d0d0a;
const PCAPNG_ENHANCED_PACKET = 6;

function readFrames(file: Buffer): Buffer[] {
  const magic = file.readUInt32LE(0);
  if (magic === PCAPNG_SECTION_HEADER) return readPcapngFrames(file);
  if (magic === 0xa1b2c3d4) return readPcapFrames(file);
  throw new Error(`not a little-endian capture: ${magic.toString(16)}`);
}

function readPcapFrames(file: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let offset = 24; offset + 16 <= file.length;) {
    const length = file.readUInt32LE(offset + 8);
    frames.push(file.subarray(offset + 16, offset + 16 + length));
    offset += 16 + length;
  }
  return frames;
}

function readPcapngFrames(file: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let offset = 0; offset + 12 <= file.length;) {
    const type = file.readUInt32LE(offset);
    const blockLength = file.readUInt32LE(offset + 4);
    if (!isWholeBlock(file, offset, blockLength)) break;
    if (type === PCAPNG_ENHANCED_PACKET) {
      const length = file.readUInt32LE(offset + 20);
      frames.push(file.subarray(offset + 28, offset + 28 + length));
    }
    offset += blockLength;
  }
  return frames;
}

/** A block says its length at both ends; two of the captures were damaged further on, what comes before is sound. */
function isWholeBlock(file: Buffer, offset: number, length: number): boolean {
  return length >= 12 && offset + length <= file.length && file.readUInt32LE(offset + length - 4) === length;
}

function udpOfFrame(frame: Buffer, number: number): CapturedDatagram | undefined {
  const etherType = frame.readUInt16BE(12);
  if (etherType === 0x0800) return udpOfIpv4(frame.subarray(14), number);
  return etherType === 0x86dd ? udpOfIpv6(frame.subarray(14), number) : undefined;
}

const UDP = 17;

function udpOfIpv4(packet: Buffer, frame: number): CapturedDatagram | undefined {
  const isFragment = (packet.readUInt16BE(6) & 0x3fff) !== 0;
  if (packet.readUInt8(9) !== UDP || isFragment) return undefined;
  const udp = packet.subarray((packet.readUInt8(0) & 0x0f) * 4);
  return datagram(frame, 4, packet.subarray(12, 16).join('.'), packet.subarray(16, 20).join('.'), udp);
}

function udpOfIpv6(packet: Buffer, frame: number): CapturedDatagram | undefined {
  if (packet.readUInt8(6) !== UDP) return undefined;
  return datagram(frame, 6, packet.toString('hex', 8, 24), packet.toString('hex', 24, 40), packet.subarray(40));
}

function datagram(frame: number, family: 4 | 6, from: string, to: string, udp: Buffer): CapturedDatagram {
  return {
    frame,
    family,
    source: { address: from, port: udp.readUInt16BE(0) },
    destination: { address: to, port: udp.readUInt16BE(2) },
    payload: new Uint8Array(udp.subarray(8, udp.readUInt16BE(4))),
  };
}
