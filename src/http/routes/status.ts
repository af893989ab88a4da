// What a person asks first of a running server: version, addresses, how long it runs, how many machines are in which state.
import type { Clock } from '../../clock.ts';
import type { MachineStore } from '../../machines/machine-store.ts';
import { MACHINE_STATES, type MachineState } from '../../machines/machine.ts';
import type { HttpApp } from '../http-app.ts';

export interface StatusRouteParts {
  readonly version: string;
  readonly startedAt: number;
  readonly clock: Clock;
  readonly machineStore: Pick<MachineStore, 'count'>;
  /** Where each service listens, by name, as `address:port` or a URL. */
  addresses(): Readonly<Record<string, string | readonly string[]>>;
}

export function statusRoutes(app: HttpApp, parts: StatusRouteParts): void {
  app.get('/status', async () => ({
    version: parts.version,
    uptimeSeconds: Math.floor((parts.clock.now() - parts.startedAt) / 1000),
    addresses: parts.addresses(),
    machines: await machineCounts(parts.machineStore),
  }));
}

/** How many machines are in each state. */
export async function machineCounts(
  store: Pick<MachineStore, 'count'>,
): Promise<Readonly<Record<MachineState, number>>> {
  const counts = { discovered: 0, approved: 0, enrolled: 0, configured: 0, active: 0, failed: 0, retired: 0 };
  for (const state of MACHINE_STATES) counts[state] = await store.count(state);
  return counts;
}
