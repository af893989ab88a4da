// Who is asking, and for what: the facts of a DHCP packet that boot decisions need, worked out once.
// Decides nothing about the answer. Total: whatever decodes is either a client or ignored with a reason.

import { DecodeError, textFromBytes } from '../protocol/bytes.ts';
import { decodeEncapsulatedOptions } from '../protocol/dhcp/encapsulated-options.ts';
import { MessageType, OptionCode, PxeOption } from '../protocol/dhcp/option-codes.ts';
import type { DhcpOptions } from '../protocol/dhcp/option-list.ts';
import { BootOp, type DhcpPacket } from '../protocol/dhcp/packet.ts';
import { ipv4FromBytes, isHostIpv4, UNSPECIFIED_IPV4 } from '../protocol/ipv4.ts';
import { macAddressFromBytes, type MacAddress } from '../protocol/mac-address.ts';
import { architectureOfId, type Architecture } from './architecture.ts';
import { identifyIpxe, type IpxeFacts } from './identify-ipxe.ts';

/** The ports we are asked on: DHCP (RFC 2131 §4.1) and the PXE boot server (PXE 2.1). */
export type BootPort = 67 | 4011;

export interface Arrival {
  readonly port: BootPort;
  /** Every address of this server that a client may know it by (option 54). */
  readonly ownAddresses: readonly string[];
}

export interface BootClient {
  readonly kind: 'client';
  readonly port: BootPort;
  readonly messageType: 'discover' | 'request' | 'inform';
  readonly xid: number;
  readonly mac: MacAddress;
  /** Canonical text of the SMBIOS UUID; undefined when the packet has none that tells machines apart. */
  readonly uuid: string | undefined;
  readonly architecture: Architecture;
  /** The rest of the client's own list, best first (RFC 4578 §2.1); nearly always empty. */
  readonly alsoRuns: readonly Architecture[];
  readonly vendorClass: 'pxe' | 'http' | 'uboot' | 'none';
  /** Set when iPXE asks, whatever firmware it runs on. */
  readonly ipxe: IpxeFacts | undefined;
  /** Option 43.71 as sent: the item of a PXE boot menu that a REQUEST asks for (PXE 2.1, tag 71). */
  readonly bootItem: Uint8Array | undefined;
}

type IgnoredReason =
  | 'not-a-request'
  | 'unwanted-message-type'
  | 'no-mac-address'
  | 'bad-return-address'
  | 'not-a-boot-client'
  | 'other-server-chosen'
  | 'lease-request';

export interface IgnoredPacket {
  readonly kind: 'ignored';
  readonly reason: IgnoredReason;
}

/** Classifies one packet; the tests come in the order of what is cheapest to refuse. */
export function identifyClient(packet: DhcpPacket, arrival: Arrival): BootClient | IgnoredPacket {
  if (packet.op !== BootOp.Request) return ignored('not-a-request');
  const messageType = messageTypeOf(packet.options);
  if (messageType === undefined) return ignored('unwanted-message-type');
  // InfiniBand (RFC 4390) has no chaddr; its machines are told apart by option 61, which nothing here does yet.
  const mac = macAddressFromBytes(packet.chaddr);
  if (mac === undefined) return ignored('no-mac-address');
  if (!canBeAnswered(packet)) return ignored('bad-return-address');

  const vendorClass = vendorClassOf(packet.options);
  const ipxe = identifyIpxe(packet.options);
  const architectures = architecturesOf(packet.options, mac, vendorClass);
  if (architectures === undefined) return ignored('not-a-boot-client');

  const bootItem = bootItemOf(packet.options);
  const refusal = messageType === 'request' ? refusalOfRequest(packet.options, arrival, bootItem) : undefined;
  if (refusal !== undefined) return ignored(refusal);
  return {
    kind: 'client',
    port: arrival.port,
    messageType,
    xid: packet.xid,
    mac,
    uuid: uuidOf(packet.options),
    ...architectures,
    vendorClass,
    ipxe,
    bootItem,
  };
}

function ignored(reason: IgnoredReason): IgnoredPacket {
  return { kind: 'ignored', reason };
}

function messageTypeOf(options: DhcpOptions): BootClient['messageType'] | undefined {
  const value = options.get(OptionCode.MessageType);
  if (value?.length !== 1) return undefined;
  switch (value[0]) {
    case MessageType.Discover:
      return 'discover';
    case MessageType.Request:
      return 'request';
    case MessageType.Inform:
      return 'inform';
    default:
      return undefined;
  }
}

/** A forged giaddr or ciaddr must not aim our answers at loopback, multicast or broadcast addresses. */
function canBeAnswered(packet: DhcpPacket): boolean {
  return [packet.giaddr, packet.ciaddr].every((address) => address === UNSPECIFIED_IPV4 || isHostIpv4(address));
}

/**
 * A client takes its lease by a broadcast REQUEST that names the lease server: a proxy that answers it breaks the lease
 * (RFC 2131 §3.1 step 3). On 4011 nobody leases, and what arrives was sent to us.
 */
function refusalOfRequest(
  options: DhcpOptions,
  arrival: Arrival,
  bootItem: Uint8Array | undefined,
): IgnoredReason | undefined {
  if (arrival.port === 4011) return undefined;
  const chosen = options.get(OptionCode.ServerIdentifier);
  if (chosen === undefined) return bootItem === undefined ? 'lease-request' : undefined;
  const chosenAddress = ipv4FromBytes(chosen);
  const isOurs = chosenAddress !== undefined && arrival.ownAddresses.includes(chosenAddress);
  return isOurs ? undefined : 'other-server-chosen';
}

/** Prefixes of option 60. Apple's AAPLBSDPC is another protocol (BSDP) and none of these. */
const VENDOR_CLASSES = [
  ['PXEClient', 'pxe'], // PXE 2.1, tag 60
  ['HTTPClient', 'http'], // UEFI 2.10 §24.7
  ['U-Boot.', 'uboot'], // U-Boot net/bootp.c: CONFIG_BOOTP_VCI_STRING
] as const;

function vendorClassOf(options: DhcpOptions): BootClient['vendorClass'] {
  const text = textOf(options.get(OptionCode.VendorClass));
  return VENDOR_CLASSES.find(([prefix]) => text.startsWith(prefix))?.[1] ?? 'none';
}

/** Undefined when nothing in the packet says that firmware is asking: an operating system wants its lease. */
function architecturesOf(
  options: DhcpOptions,
  mac: MacAddress,
  vendorClass: BootClient['vendorClass'],
): Pick<BootClient, 'architecture' | 'alsoRuns'> | undefined {
  const ids = architectureIdsOf(options);
  if (ids === undefined) return vendorClass === 'none' ? undefined : { architecture: 'unknown', alsoRuns: [] };
  const names = ids.map((id) => (id === 0 && isRaspberryPi(mac) ? 'arm-rpiboot' : architectureOfId(id)));
  const [architecture = 'unknown', ...alsoRuns] = names;
  return { architecture, alsoRuns };
}

/** Option 93, or else the number within option 60: defaulting to BIOS would send an x86 file to an ARM machine. */
function architectureIdsOf(options: DhcpOptions): readonly number[] | undefined {
  const list = options.get(OptionCode.ClientArchitecture);
  if (list !== undefined && list.length >= 2 && list.length % 2 === 0) {
    const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
    return Array.from({ length: list.length / 2 }, (_, index) => view.getUint16(index * 2));
  }
  const number = /^(?:PXE|HTTP)Client:Arch:(\d{5})/.exec(textOf(options.get(OptionCode.VendorClass)))?.[1];
  return number === undefined ? undefined : [Number(number)];
}

/** Raspberry Pi boot ROMs say architecture 0 (raspberrypi/rpi-eeprom#182): only the maker's address block tells. */
const RASPBERRY_PI_BLOCKS = ['b8:27:eb', 'dc:a6:32', 'e4:5f:01', '28:cd:c1', 'd8:3a:dd', '2c:cf:67'];

function isRaspberryPi(mac: MacAddress): boolean {
  return RASPBERRY_PI_BLOCKS.some((block) => mac.startsWith(block));
}

/** RFC 4578 §2.3: type 0 and 16 bytes, of which SMBIOS stores the first three fields little-endian (SMBIOS 3.6 §7.2.1). */
function uuidOf(options: DhcpOptions): string | undefined {
  const value = options.get(OptionCode.ClientMachineIdentifier);
  if (value?.length !== 17 || value[0] !== 0) return undefined;
  const wire = value.subarray(1);
  // Boards without a UUID send all zeros or all ones.
  if (wire.every((byte) => byte === 0x00) || wire.every((byte) => byte === 0xff)) return undefined;
  const inOrder = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map((index) => wire[index] ?? 0);
  const hex = Buffer.from(inOrder).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function bootItemOf(options: DhcpOptions): Uint8Array | undefined {
  const value = options.get(OptionCode.VendorSpecific);
  if (value === undefined) return undefined;
  try {
    const item = decodeEncapsulatedOptions(value).get(PxeOption.BootItem);
    return item?.length === 4 ? item : undefined;
  } catch (error) {
    if (error instanceof DecodeError) return undefined; // another vendor's format: not a boot item
    throw error;
  }
}

function textOf(value: Uint8Array | undefined): string {
  return value === undefined ? '' : textFromBytes(value);
}
