// Valid defaults for tests about booting: a test names only what it is about.

import type { BootClient } from '../../src/boot/identify-client.ts';
import type { OfferPolicy } from '../../src/boot/decide-offer.ts';
import { bytesFromText } from '../../src/protocol/bytes.ts';
import { MessageType, OptionCode } from '../../src/protocol/dhcp/option-codes.ts';
import { BootOp, BROADCAST_FLAG, type DhcpPacket } from '../../src/protocol/dhcp/packet.ts';
import { parseMacAddress, type MacAddress } from '../../src/protocol/mac-address.ts';

export const SERVER_ADDRESS = '192.0.2.1';

export function aMac(text = '52:54:00:0a:0b:0c'): MacAddress {
  const mac = parseMacAddress(text);
  if (mac === undefined) throw new Error(`not a MAC address: ${text}`);
  return mac;
}

/** Options 93, 94 and 60 as firmware sends them. */
export function firmwareOptions(
  architectureId: number,
  vendorClass: 'PXEClient' | 'HTTPClient' = 'PXEClient',
): [number, Uint8Array][] {
  const number = architectureId.toString().padStart(5, '0');
  return [
    [OptionCode.ClientArchitecture, Uint8Array.of(architectureId >> 8, architectureId & 0xff)],
    [OptionCode.ClientNetworkInterface, Uint8Array.of(1, 3, 0)],
    [OptionCode.VendorClass, bytesFromText(`${vendorClass}:Arch:${number}:UNDI:003000`)],
  ];
}

/** A DISCOVER as EDK2 on x64 sends it; `options` are laid over its own, undefined takes one away. */
export function aDiscover(
  options: Iterable<readonly [number, Uint8Array | undefined]> = [],
  header: Partial<DhcpPacket> = {},
): DhcpPacket {
  const all = new Map<number, Uint8Array>([
    [OptionCode.MessageType, Uint8Array.of(MessageType.Discover)],
    [OptionCode.MaximumMessageSize, Uint8Array.of(0x05, 0xc0)],
    ...firmwareOptions(7),
    [OptionCode.ClientMachineIdentifier, new Uint8Array(Buffer.from('000403020106050807090a0b0c0d0e0f10', 'hex'))],
  ]);
  for (const [code, value] of options) {
    if (value === undefined) all.delete(code);
    else all.set(code, value);
  }
  return {
    op: BootOp.Request,
    htype: 1,
    hops: 0,
    xid: 0x1234abcd,
    secs: 0,
    flags: BROADCAST_FLAG,
    ciaddr: '0.0.0.0',
    yiaddr: '0.0.0.0',
    siaddr: '0.0.0.0',
    giaddr: '0.0.0.0',
    chaddr: Uint8Array.of(0x52, 0x54, 0x00, 0x0a, 0x0b, 0x0c),
    sname: '',
    file: '',
    options: all,
    ...header,
  };
}

/** EDK2 on x64, by PXE, asking with a DISCOVER on port 67. */
export function aClient(overrides: Partial<BootClient> = {}): BootClient {
  return {
    kind: 'client',
    port: 67,
    messageType: 'discover',
    xid: 0x1234abcd,
    mac: aMac(),
    uuid: '01020304-0506-0708-090a-0b0c0d0e0f10',
    architecture: 'x64-uefi',
    alsoRuns: [],
    vendorClass: 'pxe',
    ipxe: undefined,
    bootItem: undefined,
    ...overrides,
  };
}

export function aPolicy(overrides: Partial<OfferPolicy> = {}): OfferPolicy {
  return {
    serverAddress: SERVER_ADDRESS,
    bootAllowed: true,
    loaders: {
      'x86-bios': 'undionly.kpxe',
      'x64-uefi': 'snponly.efi',
      'x64-uefi-http': 'ipxe.efi',
      'arm64-uefi': 'snponly-arm64.efi',
    },
    tftpPrefix: '',
    httpLoaderBase: `http://${SERVER_ADDRESS}/loaders/`,
    scriptUrl: `http://${SERVER_ADDRESS}/boot.ipxe`,
    uefiStrategy: '4011',
    ...overrides,
  };
}
