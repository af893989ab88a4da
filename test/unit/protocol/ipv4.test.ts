import { describe, expect, it } from 'vitest';
import { ipv4FromBytes, ipv4ToBytes, isHostIpv4 } from '../../../src/protocol/ipv4.ts';

describe('IPv4 addresses', () => {
  it('are four bytes on the wire', () => {
    expect(ipv4ToBytes('192.0.2.255')).toEqual(Uint8Array.of(192, 0, 2, 255));
    expect(ipv4FromBytes(Uint8Array.of(192, 0, 2, 255))).toBe('192.0.2.255');
    expect(ipv4FromBytes(Uint8Array.of(192, 0, 2))).toBeUndefined();
  });

  it.each(['', '1.2.3', '1.2.3.4.5', '1.2.3.256', '1.2.3.', '1.2.3.0x4', 'localhost'])('are never "%s"', (text) => {
    expect(() => ipv4ToBytes(text)).toThrow('Not an IPv4 address');
  });

  it('of hosts exclude this-network, loopback, multicast, reserved and broadcast (RFC 6890 §2.2.2)', () => {
    expect(['10.0.0.1', '192.168.1.255', '169.254.1.1'].every(isHostIpv4)).toBe(true);
    expect(['0.0.0.1', '127.0.0.1', '224.0.0.1', '240.0.0.1', '255.255.255.255'].some(isHostIpv4)).toBe(false);
  });
});
