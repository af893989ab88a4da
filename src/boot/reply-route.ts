// Where an answer goes (RFC 2131 §4.1; PXE 2.1 for port 4011). Pure: which socket carries it is the server's business.

import type { DhcpPacket } from '../protocol/dhcp/packet.ts';
import { UNSPECIFIED_IPV4 } from '../protocol/ipv4.ts';
import type { BootPort } from './identify-client.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface ReplyRoute {
  readonly to: Endpoint;
  /** The source port of the answer: iPXE and U-Boot drop what does not come from the port they asked. */
  readonly fromPort: BootPort;
  /** True when `to` is 255.255.255.255: it must leave by the interface that the request came in on. */
  readonly broadcast: boolean;
}

const BROADCAST_ADDRESS = '255.255.255.255';
const SERVER_PORT = 67;
const CLIENT_PORT = 68;

/**
 * We never give out an address, so a client that has none cannot be reached by unicast, whatever its broadcast flag says.
 * On 4011 the answer must go back to the source port, which is 4011 for EDK2 and 68 for iPXE: EDK2 does not see a broadcast.
 */
export function replyRoute(request: DhcpPacket, from: Endpoint, port: BootPort): ReplyRoute {
  const toClient = (to: Endpoint): ReplyRoute => ({ to, fromPort: port, broadcast: false });
  if (port === 4011 && from.address !== UNSPECIFIED_IPV4) return toClient(from);
  if (request.giaddr !== UNSPECIFIED_IPV4) return toClient({ address: request.giaddr, port: SERVER_PORT });
  if (request.ciaddr !== UNSPECIFIED_IPV4) return toClient({ address: request.ciaddr, port: CLIENT_PORT });
  return { to: { address: BROADCAST_ADDRESS, port: CLIENT_PORT }, fromPort: port, broadcast: true };
}
