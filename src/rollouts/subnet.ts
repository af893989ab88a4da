// The piece of network that shares one uplink, as far as an address tells: /24 for IPv4, /64 for IPv6. Pure.
import ipaddr from 'ipaddr.js';

/** `10.0.7.0/24`, `2001:db8:0:7::/64`; machines whose address is not known share one name. */
export function subnetOf(address: string | undefined): string {
  if (address === undefined || !ipaddr.isValid(address)) return 'an unknown subnet';
  const parsed = ipaddr.process(address);
  const bits = parsed.kind() === 'ipv4' ? 24 : 64;
  const network = parsed.toByteArray().map((byte, index) => (index < bits / 8 ? byte : 0));
  return `${ipaddr.fromByteArray(network).toString()}/${bits}`;
}
