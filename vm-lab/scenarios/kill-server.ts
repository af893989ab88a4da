// A machine that nobody knows waits until it is approved. Then the server is killed without warning while the machine, just
// enrolled, applies its configuration, and comes back a few seconds later: the machine must go on as the one it was.
import { setTimeout as sleep } from 'node:timers/promises';
import type { BootEvent } from '../../src/events/boot-event.ts';
import type { Check } from '../judge-machine.ts';
import type { MusterProcess } from '../muster-process.ts';
import type { FirmwareKind } from '../qemu-arguments.ts';
import { joinFleet } from './join-fleet.ts';
import type { Lab, ScenarioOutcome } from './scenario.ts';

const DOWN_SECONDS = 5;

export async function killServer(lab: Lab, firmware: FirmwareKind): Promise<ScenarioOutcome> {
  const starts: BootEvent[] = [];
  let killed = false;
  let approved = false;
  const outcome = await joinFleet(lab, {
    firmwares: [firmware],
    unknownMachines: 'discover',
    onEvent: (event, muster) => {
      if (event.kind === 'server-started') starts.push(event);
      if (event.kind === 'script-served' && event.details.plan === 'wait' && event.mac !== undefined && !approved) {
        approved = true;
        lab.view.note('the machine waits for approval; approving it');
        return muster.client.approveMachine(event.mac);
      }
      if (event.kind !== 'enrolled' || killed) return undefined;
      killed = true;
      return killAndRestart(lab, muster);
    },
  });
  const events = outcome.machines.flatMap(({ progress }) => progress.events);
  return { ...outcome, checks: [...outcome.checks, ...judgeInterruption(events, starts)] };
}

async function killAndRestart(lab: Lab, muster: MusterProcess): Promise<void> {
  await muster.kill9();
  lab.view.note(`the server was killed (SIGKILL); it comes back in ${DOWN_SECONDS} s`);
  await sleep(DOWN_SECONDS * 1_000, undefined, { signal: lab.signal });
  await muster.start();
  lab.view.note('the server is back');
}

/** The restart must lie between the two events, or nothing was proved. */
function judgeInterruption(events: readonly BootEvent[], starts: readonly BootEvent[]): readonly Check[] {
  const enrollments = events.filter(({ kind }) => kind === 'enrolled');
  const [enrolled] = enrollments;
  const applied = events.find(({ kind }) => kind === 'config-applied');
  const restart = starts.find(({ seq }) => enrolled !== undefined && seq > enrolled.seq);
  const approval = events.find(isApproval);
  const waited = events.some((event) => event.kind === 'script-served' && event.details.plan === 'wait');
  const machines = new Set(events.flatMap(({ machineId }) => machineId ?? []));
  return [
    {
      claim: 'the server was killed after the machine enrolled and before its config was applied',
      holds: restart !== undefined && applied !== undefined && restart.seq < applied.seq,
      found: `order of events: enrolled ${enrolled?.seq ?? 'never'}, restart ${restart?.seq ?? 'never'}, config applied ${applied?.seq ?? 'never'}`,
    },
    {
      claim: 'the machine was not let in before it was approved',
      holds: approval !== undefined && enrolled !== undefined && approval.seq < enrolled.seq && waited,
      found: `approved by ${approval?.details.by ?? 'nobody'}, ${waited ? 'after it had waited' : 'without a wait'}`,
    },
    {
      claim: 'the machine kept the identity that it enrolled with',
      holds: enrollments.length === 1 && machines.size === 1,
      found: `${enrollments.length} enrollments, ${machines.size} machine ids`,
    },
  ];
}

function isApproval(event: BootEvent): event is BootEvent<'machine-state'> {
  return event.kind === 'machine-state' && event.details.to === 'approved';
}
