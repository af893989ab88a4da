// IPv4 addresses: dotted text in values, four bytes on the wire.

import { AppError } from '../errors.ts';

export const UNSPECIFIED_IPV4 = '0.0.0.0';

/** Undefined unless there are exactly four bytes. */
export function ipv4FromBytes(bytes: Uint8Array): string | undefined {
  return bytes.length === 4 ? bytes.join('.') : undefined;
}

/** The text must be an address already (settings and decoders see to that): anything else is a defect. */
export function ipv4ToBytes(text: string): Uint8Array {
  const parts = text.split('.').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : NaN));
  if (parts.length !== 4 || !parts.every((part) => part <= 255)) {
    throw new AppError('internal', `Not an IPv4 address: ${JSON.stringify(text)}`);
  }
  return Uint8Array.from(parts);
}

/** Whether a host can have this address: not this-network, loopback, multicast, reserved or broadcast (RFC 6890 §2.2.2). */
export function isHostIpv4(text: string): boolean {
  const [first = 0] = ipv4ToBytes(text);
  return first !== 0 && first !== 127 && first < 224;
}
