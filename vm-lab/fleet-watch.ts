// Watches machines boot: the server's events on one side, the machines' consoles on the other, until each has come up or
// will not. Changes nothing itself.
import { setTimeout as sleep } from 'node:timers/promises';
import type { BootEvent } from '../src/events/boot-event.ts';
import { advanceFleet, failMachine, startProgress, type MachineProgress } from './boot-progress.ts';
import type { MusterClient } from './muster-client.ts';
import type { ProgressView } from './progress-view.ts';
import { FIRMWARE_LABELS } from './qemu-arguments.ts';
import type { VirtualMachine } from './virtual-machine.ts';

const LOOK_MILLISECONDS = 500;

export interface WatchOptions {
  readonly client: MusterClient;
  readonly machines: readonly VirtualMachine[];
  readonly view: ProgressView;
  readonly signal: AbortSignal;
  readonly limitSeconds: number;
  /** Told of each event. What it starts is waited for, and a failure of it ends the watch. */
  readonly onEvent?: (event: BootEvent) => Promise<void> | undefined;
}

/** To be called when the machines were just switched on. Resolves once each is active or has failed; never by itself later than the limit. */
export async function watchFleet(options: WatchOptions): Promise<readonly MachineProgress[]> {
  const { client, machines, view, limitSeconds } = options;
  const startedAt = Date.now();
  let fleet: readonly MachineProgress[] = machines.map((machine) =>
    startProgress(
      { name: machine.name, firmware: FIRMWARE_LABELS[machine.hardware.firmware], mac: machine.mac },
      startedAt,
    ),
  );
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const started: Promise<void>[] = [];
  const broken = Promise.withResolvers<never>();
  const following = client.followEvents((event) => {
    fleet = advanceFleet(fleet, event);
    view.update(fleet, Date.now());
    const work = options.onEvent?.(event);
    if (work === undefined) return;
    started.push(work);
    work.catch(broken.reject);
  }, signal);
  const looking = (async () => {
    while (!fleet.every(isSettled)) {
      const isLate = Date.now() - startedAt > limitSeconds * 1_000;
      fleet = fleet.map((progress, index) => {
        const reason = isLate ? `not active within ${limitSeconds} s` : consoleFailure(machines[index]);
        return isSettled(progress) || reason === undefined ? progress : failMachine(progress, reason);
      });
      view.update(fleet, Date.now());
      await sleep(LOOK_MILLISECONDS, undefined, { signal });
    }
  })();
  try {
    await Promise.race([looking, following.then(() => looking), broken.promise]);
    await Promise.all(started);
  } finally {
    ended.abort();
    await Promise.allSettled([following, looking]);
  }
  view.update(fleet, Date.now());
  return fleet;
}

function isSettled(progress: MachineProgress): boolean {
  return progress.stage === 'active' || progress.failure !== undefined;
}

function consoleFailure(machine: VirtualMachine | undefined): string | undefined {
  const verdict = machine?.judge();
  return verdict === undefined || verdict.kind === 'going' ? undefined : verdict.reason;
}
