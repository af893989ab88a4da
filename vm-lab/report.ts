// The texts at the end of a lab run: timelines, verdict, all there is to know of a failure, and how to reach what was kept.
import { describeEvent } from '../src/events/boot-event.ts';
import type { AccessScripts } from './access-scripts.ts';
import type { Check } from './judge-machine.ts';
import { renderTimeline } from './progress-view.ts';
import { holds, type MachineOutcome, type ScenarioOutcome } from './scenarios/scenario.ts';

export function renderOutcome(outcome: ScenarioOutcome): string {
  const failed = outcome.machines.filter(({ checks }) => checks.some((check) => !check.holds));
  const serverLog = `The end of the server's log:\n${indent(outcome.muster.logTail())}`;
  return [
    ...outcome.machines.map(({ progress }) => renderTimeline(progress)),
    ...failed.map(renderFailure),
    ...(holds(outcome) ? [] : [serverLog]),
    renderVerdict(outcome),
  ].join('\n\n');
}

function renderVerdict(outcome: ScenarioOutcome): string {
  const checks = [
    ...outcome.machines.flatMap(({ machine, checks: own }) =>
      own.map((check) => ({ ...check, claim: `${machine.name}: ${check.claim}` })),
    ),
    ...outcome.checks,
  ];
  const broken = checks.filter((check) => !check.holds);
  const names = outcome.machines.map(({ machine }) => machine.name).join(', ');
  if (broken.length === 0) return `PASSED: ${names}: all ${checks.length} checks hold`;
  return [`FAILED: ${broken.length} of ${checks.length} checks do not hold`, ...broken.map(renderCheck)].join('\n');
}

function renderCheck(check: Check): string {
  return `  ✗ ${check.claim}: ${check.found}`;
}

function renderFailure({ machine, progress }: MachineOutcome): string {
  const start = progress.reached[0]?.at ?? 0;
  const events = progress.events.map(
    (event) => `${((event.at - start) / 1_000).toFixed(1).padStart(7)} s  ${describeEvent(event)}`,
  );
  return [
    `What the server saw of ${machine.name}:`,
    indent(events.length === 0 ? 'nothing' : events.join('\n')),
    `The end of its console (${machine.consoleFile}):`,
    indent(machine.consoleTail()),
  ].join('\n');
}

/** For `--keep`. */
export function renderAccess(outcome: ScenarioOutcome, pageUrl: string, scripts: AccessScripts): string {
  return [
    'Still running:',
    `  web page   ${pageUrl}`,
    `             log in with the token in ${outcome.muster.dataDirectory}/admin-token`,
    `  commands   sh ${scripts.muster} machines list`,
    ...outcome.machines.flatMap(({ machine }) => [
      `  ${machine.name}`,
      `    console  tail -f ${machine.consoleFile}`,
      `    log in   sh ${scripts.login} ${machine.name}`,
    ]),
    'To stop all of it: npm run lab -- --stop',
  ].join('\n');
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
