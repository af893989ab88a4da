// Words for the golden records: clients, routes and packets, one fact a line, option values in hex.

import type { BootClient } from '../../../src/boot/identify-client.ts';
import type { ReplyRoute } from '../../../src/boot/reply-route.ts';
import { MessageType } from '../../../src/protocol/dhcp/option-codes.ts';
import type { DhcpPacket } from '../../../src/protocol/dhcp/packet.ts';

export function describeClient(client: BootClient): string {
  const ipxe =
    client.ipxe === undefined ? '' : `, iPXE with ${[...(client.ipxe.features ?? ['unknown features'])].join(' ')}`;
  const architectures = [client.architecture, ...client.alsoRuns].join(' or ');
  return `  ${client.messageType} by ${client.mac}, uuid ${client.uuid ?? 'none'}, ${architectures}, ${client.vendorClass}${ipxe}`;
}

export function describeRoute(route: ReplyRoute): string {
  return `port ${route.fromPort} to ${route.to.address}:${route.to.port}${route.broadcast ? ' (broadcast)' : ''}`;
}

export function describePacket(packet: DhcpPacket): string[] {
  const addresses = (['ciaddr', 'yiaddr', 'siaddr', 'giaddr'] as const).map((field) => `${field} ${packet[field]}`);
  return [
    `    xid ${packet.xid.toString(16)}, flags ${packet.flags.toString(16)}, ${addresses.join(', ')}`,
    `    sname "${packet.sname}", file "${packet.file}"`,
    ...Array.from(packet.options, ([code, value]) => `    ${code}: ${describeValue(code, value)}`),
  ];
}

const MESSAGE_NAMES = new Map<number | undefined, string>(
  Object.entries(MessageType).map(([name, code]) => [code, name]),
);
const MESSAGE_TYPE = 53;
const TEXTS: readonly number[] = [60, 66, 67];

function describeValue(code: number, value: Uint8Array): string {
  const hex = Buffer.from(value).toString('hex');
  if (code === MESSAGE_TYPE) return `${hex} (${MESSAGE_NAMES.get(value[0]) ?? '?'})`;
  return TEXTS.includes(code) ? `${hex} ("${Buffer.from(value).toString('latin1')}")` : hex;
}
