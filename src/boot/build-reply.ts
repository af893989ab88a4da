// The packet that carries a decided reply: what RFC 2131 table 3 and the PXE rules make of a request and an OfferReply.
// Decides nothing; never gives out an address (yiaddr stays 0), as that is the site's DHCP server's office.

import { bytesFromText } from '../protocol/bytes.ts';
import { encodeEncapsulatedOptions } from '../protocol/dhcp/encapsulated-options.ts';
import { MessageType, OptionCode } from '../protocol/dhcp/option-codes.ts';
import { BootOp, encodePacket, type DhcpPacket } from '../protocol/dhcp/packet.ts';
import { ipv4ToBytes, UNSPECIFIED_IPV4 } from '../protocol/ipv4.ts';
import type { OfferReply } from './decide-offer.ts';

/** 97 by RFC 4578 §2.3, 61 by RFC 6842 §3, 82 by RFC 3046 §2.2: unchanged, well-formed or not. */
const ECHOED = [OptionCode.ClientMachineIdentifier, OptionCode.ClientIdentifier, OptionCode.RelayAgentInformation];

const MAX_HEADER_FILE = 127;
const MIN_MESSAGE_SIZE = 576; // RFC 2132 §9.10: the least that a client may ask for
const MAX_MESSAGE_SIZE = 1500; // Ethernet's MTU: no ROM is known to put fragments together
const IP_UDP_HEADERS = 28;

/** The reply as a value. */
export function buildReply(request: DhcpPacket, reply: OfferReply): DhcpPacket {
  const isAck = reply.messageType === 'ack';
  const options = new Map<number, Uint8Array>([
    [OptionCode.MessageType, Uint8Array.of(isAck ? MessageType.Ack : MessageType.Offer)],
    [OptionCode.ServerIdentifier, ipv4ToBytes(reply.serverAddress)],
    [OptionCode.VendorClass, bytesFromText(reply.vendorClass)],
    [OptionCode.TftpServerName, bytesFromText(reply.serverAddress)],
    [OptionCode.BootFileName, bytesFromText(reply.bootFile)],
  ]);
  if (reply.vendorOptions !== undefined) {
    options.set(OptionCode.VendorSpecific, encodeEncapsulatedOptions(reply.vendorOptions));
  }
  for (const code of ECHOED) {
    const value = request.options.get(code);
    if (value !== undefined) options.set(code, value);
  }
  return {
    op: BootOp.Reply,
    htype: request.htype,
    hops: 0,
    xid: request.xid,
    secs: 0,
    flags: request.flags,
    ciaddr: isAck ? request.ciaddr : UNSPECIFIED_IPV4, // RFC 2131 table 3
    yiaddr: UNSPECIFIED_IPV4,
    // iPXE does not use an answer with siaddr 0 (src/net/udp/dhcp.c); shim reads the header's fields alone (netboot.c).
    siaddr: reply.serverAddress,
    giaddr: request.giaddr,
    chaddr: request.chaddr,
    sname: reply.serverAddress,
    // Half a name would be asked for as it is; option 67 has the whole.
    file: reply.bootFile.length <= MAX_HEADER_FILE ? reply.bootFile : '',
    options,
  };
}

/** The reply as bytes, no longer than the client can take (option 57, which counts the IP and UDP headers). */
export function encodeReply(request: DhcpPacket, reply: OfferReply): Uint8Array {
  return encodePacket(buildReply(request, reply), maxMessageSize(request) - IP_UDP_HEADERS);
}

function maxMessageSize(request: DhcpPacket): number {
  const [high = 0, low = 0] = request.options.get(OptionCode.MaximumMessageSize) ?? [];
  return Math.min(Math.max(high * 256 + low, MIN_MESSAGE_SIZE), MAX_MESSAGE_SIZE);
}
