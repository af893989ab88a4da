import { describe, expect, it } from 'vitest';
import {
  chooseInterfaces,
  defaultRouteOf,
  viewInterfaces,
  type NetworkInterface,
} from '../../../src/platform/network-interfaces.ts';

const LOOPBACK = anInterface({ name: 'lo', address: '127.0.0.1', loopback: true });
const ETH0 = anInterface({ name: 'eth0' });
const ETH1 = anInterface({ name: 'eth1', address: '10.77.0.3' });

describe('chooseInterfaces', () => {
  it('takes the named ones, each once, in the order of the settings', () => {
    const chosen = chooseInterfaces(['eth1', 'eth0', 'eth1'], { available: [LOOPBACK, ETH0, ETH1] });
    expect(chosen).toEqual([ETH1, ETH0]);
  });

  it('takes the one of the default route when none is named', () => {
    expect(chooseInterfaces([], { available: [LOOPBACK, ETH0, ETH1], defaultRoute: 'eth1' })).toEqual([ETH1]);
  });

  it('takes the only one that is not loopback when there is no default route', () => {
    expect(chooseInterfaces([], { available: [LOOPBACK, ETH0] })).toEqual([ETH0]);
    expect(chooseInterfaces([], { available: [LOOPBACK, ETH0], defaultRoute: 'ppp0' })).toEqual([ETH0]);
  });

  it('takes loopback only by name', () => {
    expect(chooseInterfaces(['lo'], { available: [LOOPBACK, ETH0] })).toEqual([LOOPBACK]);
    expect(() => chooseInterfaces([], { available: [LOOPBACK] })).toThrow(/No network interface is up/);
  });

  it('names those that exist when a named one is missing', () => {
    expect(() => chooseInterfaces(['eth9'], { available: [LOOPBACK, ETH0] })).toThrow(
      expect.objectContaining({
        code: 'missing-interface',
        message: expect.stringMatching(/"eth9".*\n.*lo \(127\.0\.0\.1\), eth0 \(192\.0\.2\.2\)/) as string,
      }),
    );
  });

  it('does not guess between several', () => {
    expect(() => chooseInterfaces([], { available: [ETH0, ETH1] })).toThrow(/MUSTER_INTERFACES=eth0/);
  });
});

describe('defaultRouteOf', () => {
  const header = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';

  it('finds the default route with the lowest metric among those that are up (proc(5), /proc/net/route)', () => {
    const table = [
      'eth2\t00000000\t0101A8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0',
      'wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0',
      'eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0',
      'eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    ].join('\n');
    expect(defaultRouteOf(header + table)).toBe('eth0');
  });

  it('finds none in an empty table', () => {
    expect(defaultRouteOf('')).toBeUndefined();
    expect(defaultRouteOf(header)).toBeUndefined();
  });
});

describe('viewInterfaces', () => {
  it('sees the loopback interface of this machine', async () => {
    const view = await viewInterfaces();
    expect(view.available).toContainEqual(expect.objectContaining({ address: '127.0.0.1', loopback: true }));
  });
});

function anInterface(properties: Partial<NetworkInterface> = {}): NetworkInterface {
  return {
    name: 'eth0',
    address: '192.0.2.2',
    netmask: '255.255.255.0',
    mac: '52:54:00:00:00:01',
    loopback: false,
    ...properties,
  };
}
