// Which network interfaces there are, and the pure rule of which ones Muster serves.
import { readFile } from 'node:fs/promises';
import { networkInterfaces as systemInterfaces } from 'node:os';
import { AppError } from '../errors.ts';

/** An interface that is up and has an IPv4 address (its first one counts). */
export interface NetworkInterface {
  readonly name: string;
  readonly address: string;
  readonly netmask: string;
  readonly mac: string;
  readonly loopback: boolean;
}

export interface InterfaceView {
  readonly available: readonly NetworkInterface[];
  /** Name of the interface that the default route leaves by. */
  readonly defaultRoute?: string | undefined;
}

/** What the machine has right now. */
export async function viewInterfaces(): Promise<InterfaceView> {
  const available = Object.entries(systemInterfaces()).flatMap(([name, addresses]) => {
    const first = addresses?.find((address) => address.family === 'IPv4');
    if (first === undefined) return [];
    return [{ name, address: first.address, netmask: first.netmask, mac: first.mac, loopback: first.internal }];
  });
  return { available, defaultRoute: defaultRouteOf(await readFile('/proc/net/route', 'utf8').catch(() => '')) };
}

/**
 * The named interfaces; without names the one of the default route, else the only one that is not loopback.
 * Throws AppError('missing-interface') that names those that exist.
 */
export function chooseInterfaces(names: readonly string[], view: InterfaceView): readonly NetworkInterface[] {
  if (names.length > 0) return [...new Set(names)].map((name) => named(name, view));
  const candidates = view.available.filter((one) => !one.loopback);
  const routed = candidates.find((one) => one.name === view.defaultRoute);
  if (routed !== undefined) return [routed];
  const [only, ...others] = candidates;
  if (only === undefined) {
    throw new AppError(
      'missing-interface',
      `No network interface is up and has an IPv4 address.\nFix: give one an address, for example: ip address add 192.168.77.1/24 dev eth0`,
    );
  }
  if (others.length > 0) {
    throw new AppError(
      'missing-interface',
      `No default route says which network to serve, and there are several: ${listed(candidates)}.\n` +
        `Fix: name it in the settings (interfaces: [${only.name}]) or set MUSTER_INTERFACES=${only.name}.`,
    );
  }
  return [only];
}

/** Interface of the default route with the lowest metric in the text of /proc/net/route (proc(5)). */
export function defaultRouteOf(routeTable: string): string | undefined {
  const routes = routeTable
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([name, destination, , flags, , , metric, mask]) => {
      const isUp = (parseInt(flags ?? '0', 16) & 1) === 1;
      return name !== undefined && destination === '00000000' && mask === '00000000' && isUp
        ? [{ name, metric: Number(metric) }]
        : [];
    });
  return routes.sort((a, b) => a.metric - b.metric)[0]?.name;
}

function named(name: string, view: InterfaceView): NetworkInterface {
  const found = view.available.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new AppError(
    'missing-interface',
    `The interface ${JSON.stringify(name)} of the settings does not exist, is down or has no IPv4 address.\n` +
      `Fix: correct the setting interfaces (or MUSTER_INTERFACES). Interfaces with an address: ${listed(view.available)}.`,
  );
}

function listed(interfaces: readonly NetworkInterface[]): string {
  return interfaces.length === 0 ? 'none' : interfaces.map((one) => `${one.name} (${one.address})`).join(', ');
}
