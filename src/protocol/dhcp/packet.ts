// DHCP packets (RFC 2131 §2, RFC 2132, RFC 3396). Pure: bytes in, values out. Knows nothing of PXE, clients or policy.

import { ByteReader, ByteWriter, bytesFromText, DecodeError, textFromBytes } from '../bytes.ts';
import { ipv4ToBytes } from '../ipv4.ts';
import { OptionCode } from './option-codes.ts';
import { OptionCollector, writeOption, writtenOptionLength, type DhcpOptions } from './option-list.ts';

/** The fields of RFC 2131 §2 under their own names. */
export interface DhcpPacket {
  readonly op: number;
  readonly htype: number;
  readonly hops: number;
  readonly xid: number;
  readonly secs: number;
  readonly flags: number;
  readonly ciaddr: string;
  readonly yiaddr: string;
  readonly siaddr: string;
  readonly giaddr: string;
  /** As many bytes as hlen said, at most 16. */
  readonly chaddr: Uint8Array;
  /** One character a byte (Latin-1), up to the first NUL, at most 63; empty when the field carried options. */
  readonly sname: string;
  /** As sname, at most 127. */
  readonly file: string;
  /** Every option whole, by code: split ones joined, Pad, End and Overload used up. */
  readonly options: DhcpOptions;
}

export const BootOp = { Request: 1, Reply: 2 } as const; // RFC 2131 §2
export const BROADCAST_FLAG = 0x8000; // RFC 2131 §2, figure 2

const MAGIC_COOKIE = 0x63825363; // RFC 2131 §3
const CHADDR_LENGTH = 16;
const SNAME_LENGTH = 64;
const FILE_LENGTH = 128;
const MIN_PACKET_LENGTH = 300; // BOOTP's size (RFC 951 §3); older relays and ROMs drop what is shorter (RFC 1542 §2.1)
const MAX_UDP_PAYLOAD = 65_507;
const FileCarriesOptions = 1; // RFC 2132 §9.3
const SnameCarriesOptions = 2;

/** Decodes one datagram. Throws DecodeError; never reads past the end; allocates in proportion to the datagram. */
export function decodePacket(datagram: Uint8Array): DhcpPacket {
  const reader = new ByteReader(datagram);
  const op = reader.uint8('op');
  const htype = reader.uint8('htype');
  const hlenOffset = reader.offset;
  const hlen = reader.uint8('hlen');
  if (hlen > CHADDR_LENGTH) throw new DecodeError('hlen', hlenOffset, 'longer than chaddr');
  const hops = reader.uint8('hops');
  const xid = reader.uint32('xid');
  const secs = reader.uint16('secs');
  const flags = reader.uint16('flags');
  const ciaddr = readAddress(reader, 'ciaddr');
  const yiaddr = readAddress(reader, 'yiaddr');
  const siaddr = readAddress(reader, 'siaddr');
  const giaddr = readAddress(reader, 'giaddr');
  const chaddr = reader.bytes(CHADDR_LENGTH, 'chaddr').slice(0, hlen);
  const snameBytes = reader.bytes(SNAME_LENGTH, 'sname');
  const fileBytes = reader.bytes(FILE_LENGTH, 'file');
  const cookieOffset = reader.offset;
  if (reader.uint32('magic cookie') !== MAGIC_COOKIE) {
    throw new DecodeError('magic cookie', cookieOffset, 'not DHCP');
  }

  const optionsOffset = reader.offset;
  const collector = new OptionCollector();
  collector.readAll(reader, 'option');
  const overload = readOverload(collector.get(OptionCode.Overload), optionsOffset);
  // The order is RFC 3396 §5: options field, then file, then sname.
  if (overload & FileCarriesOptions) collector.readAll(new ByteReader(fileBytes), 'option in file');
  if (overload & SnameCarriesOptions) collector.readAll(new ByteReader(snameBytes), 'option in sname');
  const options = new Map(collector.toOptions());
  options.delete(OptionCode.Overload);

  const sname = overload & SnameCarriesOptions ? '' : textOf(snameBytes);
  const file = overload & FileCarriesOptions ? '' : textOf(fileBytes);
  return { op, htype, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, options };
}

/**
 * The inverse of decodePacket for every packet within its documented lengths. Option 53 comes first, as strict clients expect;
 * 67 next to last, because EDK2 writes a NUL behind it (PxeBcDhcp4.c); 82 last (RFC 3046 §2.2). Never overloads.
 * What does not fit into maxBytes is left out whole, the least needed for booting first.
 */
export function encodePacket(packet: DhcpPacket, maxBytes = MAX_UDP_PAYLOAD): Uint8Array {
  const writer = new ByteWriter(MIN_PACKET_LENGTH * 2);
  writer.uint8(packet.op);
  writer.uint8(packet.htype);
  writer.uint8(Math.min(packet.chaddr.length, CHADDR_LENGTH));
  writer.uint8(packet.hops);
  writer.uint32(packet.xid);
  writer.uint16(packet.secs);
  writer.uint16(packet.flags);
  for (const address of [packet.ciaddr, packet.yiaddr, packet.siaddr, packet.giaddr])
    writer.bytes(ipv4ToBytes(address));
  writePadded(writer, packet.chaddr, CHADDR_LENGTH, CHADDR_LENGTH);
  writePadded(writer, bytesFromText(packet.sname), SNAME_LENGTH, SNAME_LENGTH - 1);
  writePadded(writer, bytesFromText(packet.file), FILE_LENGTH, FILE_LENGTH - 1);
  writer.uint32(MAGIC_COOKIE);

  const room = Math.max(maxBytes, MIN_PACKET_LENGTH) - writer.offset - 1;
  for (const [code, value] of inWritingOrder(fitting(packet.options, room))) writeOption(writer, code, value);
  writer.uint8(OptionCode.End);
  writer.zeros(MIN_PACKET_LENGTH - writer.offset);
  return writer.toBytes();
}

type OptionEntry = readonly [code: number, value: Uint8Array];

const WRITTEN_BY_THE_CODEC: ReadonlySet<number> = new Set([OptionCode.Pad, OptionCode.Overload, OptionCode.End]);

/** Without these a reply is not used, in the order of need; the relay needs its own 82 back (RFC 3046 §2.2). */
const NEEDED_MOST: readonly number[] = [
  OptionCode.MessageType,
  OptionCode.RelayAgentInformation,
  OptionCode.ServerIdentifier,
  OptionCode.VendorClass,
  OptionCode.BootFileName,
  OptionCode.VendorSpecific,
];

/** Keeps options in the order of need as long as there is room. */
function fitting(options: DhcpOptions, room: number): OptionEntry[] {
  const needRank = (code: number): number => {
    const rank = NEEDED_MOST.indexOf(code);
    return rank === -1 ? NEEDED_MOST.length : rank;
  };
  let left = room;
  return Array.from(options)
    .filter(([code]) => !WRITTEN_BY_THE_CODEC.has(code))
    .sort(([one], [other]) => needRank(one) - needRank(other))
    .filter(([, value]) => {
      const length = writtenOptionLength(value.length);
      if (length > left) return false;
      left -= length;
      return true;
    });
}

function inWritingOrder(options: readonly OptionEntry[]): OptionEntry[] {
  const place = (code: number): number => {
    if (code === OptionCode.MessageType) return -1;
    if (code === OptionCode.BootFileName) return 256;
    return code === OptionCode.RelayAgentInformation ? 257 : code;
  };
  return [...options].sort(([one], [other]) => place(one) - place(other));
}

function readAddress(reader: ByteReader, field: string): string {
  return reader.bytes(4, field).join('.');
}

function readOverload(value: Uint8Array | undefined, optionsOffset: number): number {
  if (value === undefined) return 0;
  const [bits] = value;
  if (value.length !== 1 || bits === undefined || bits < 1 || bits > 3) {
    throw new DecodeError('option 52', optionsOffset, 'not 1, 2 or 3');
  }
  return bits;
}

function textOf(field: Uint8Array): string {
  const end = field.indexOf(0);
  return textFromBytes(end === -1 ? field : field.subarray(0, end));
}

function writePadded(writer: ByteWriter, value: Uint8Array, width: number, most: number): void {
  const kept = value.subarray(0, most);
  writer.bytes(kept);
  writer.zeros(width - kept.length);
}
