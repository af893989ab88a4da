// Machines for people: the list, one machine with its facts, and why it gets what it gets. Pure.
import type { MachineState } from '../machines/machine.ts';
import type { ExplanationAnswer, MachineAnswer } from './api-answers.ts';
import { formatAge, formatBytes } from './format-quantities.ts';
import { formatFacts, formatTable, type TableLayout } from './format-table.ts';
import { printable, type Style, type Tone } from './style.ts';

const TONE: Readonly<Record<MachineState, Tone>> = {
  discovered: 'warn',
  approved: 'accent',
  enrolled: 'accent',
  configured: 'accent',
  active: 'good',
  failed: 'bad',
  retired: 'faint',
};

export function formatMachines(machines: readonly MachineAnswer[], now: number, layout: TableLayout): string {
  const { style } = layout;
  if (machines.length === 0) {
    return '  No machines yet. Boot one from the network: it appears as soon as it asks.\n';
  }
  const rows = machines.map((machine) => [
    formatState(machine.state, style),
    machine.macs[0] ?? '–',
    printable(machine.hostname ?? nameOf(machine) ?? '–'),
    machine.address ?? '–',
    machine.profile ?? '–',
    formatAge(machine.lastSeenAt, now),
    style.faint(machine.id),
  ]);
  const waiting = machines.filter((machine) => machine.state === 'discovered').length;
  return [
    formatTable(['state', 'mac', 'name', 'address', 'profile', 'seen', 'id'], rows, layout),
    '\n',
    `  ${countStates(machines)}\n`,
    waiting === 0 ? '' : `  To let one in: muster machines approve MAC\n`,
  ].join('');
}

export function formatMachine(machine: MachineAnswer, now: number, style: Style): string {
  const { facts } = machine;
  const known: readonly (readonly [string, string | undefined])[] = [
    ['Id', machine.id],
    ['MAC', machine.macs.join('\n')],
    ['Host name', machine.hostname],
    ['Address', machine.address],
    ['Profile', machine.profile],
    ['Image', machine.image],
    ['Labels', joined(Object.entries(machine.labels).map(([key, value]) => `${key}=${value}`))],
    ['Product', nameOf(machine)],
    ['Serial', facts.serial],
    ['UUID', facts.uuid],
    ['Firmware', joined([facts.firmware, machine.architecture])],
    ['CPU', joined([facts.cpu, facts.cpuCount === undefined ? undefined : `${facts.cpuCount} threads`])],
    ['Memory', facts.memoryBytes === undefined ? undefined : formatBytes(facts.memoryBytes)],
    ['Disks', facts.disks?.map((disk) => joined([disk.name, formatBytes(disk.sizeBytes), disk.model])).join('\n')],
    ['Certificate', machine.certificateSerial],
    ['Config', machine.configDigest],
    ['Seen', `${formatAge(machine.lastSeenAt, now)}, first ${formatAge(machine.createdAt, now)}`],
  ];
  const rows = known.flatMap(([name, value]): [string, string][] =>
    value === undefined || value === '' ? [] : [[name, value.split('\n').map(printable).join('\n')]],
  );
  const since = style.faint(`since ${formatAge(machine.stateSince, now).replace(/ ago$/, '')}`);
  return [
    '\n',
    `  ${formatState(machine.state, style)}  ${style.strong(printable(machine.hostname ?? machine.macs[0] ?? machine.id))}  ${since}\n`,
    `  ${printable(machine.stateReason)}\n`,
    '\n',
    formatFacts(rows, style),
  ].join('');
}

/** What approving or retiring has come to: one line. */
export function formatStateChange(machine: MachineAnswer, style: Style): string {
  const name = printable(machine.hostname ?? machine.macs[0] ?? machine.id);
  return `  ${formatState(machine.state, style)}  ${style.strong(name)}  ${printable(machine.stateReason)}\n`;
}

export function formatExplanation(explanation: ExplanationAnswer, style: Style): string {
  const { machine, winner, candidates, plan } = explanation;
  const lines = candidates.flatMap((candidate) => [
    candidate.matches
      ? `  ${style.good('✓')} ${style.strong(candidate.profile)}`
      : `  ${style.faint('·')} ${candidate.profile}`,
    ...candidate.reasons.map((reason) => `      ${style.faint(printable(reason))}`),
  ]);
  return [
    '',
    machine === undefined
      ? `  ${style.warn('never seen')}  what a machine with this address would get`
      : `  ${formatState(machine.state, style)}  ${style.strong(printable(machine.hostname ?? machine.macs[0] ?? machine.id))}`,
    '',
    ...(candidates.length === 0 ? ['  There are no profiles: add one to the folder of profiles.'] : lines),
    '',
    `  ${style.faint('Profile')}   ${winner ?? 'none matches'}`,
    `  ${style.faint('Plan')}      ${style.strong(plan.kind)}: ${printable(plan.reason)}`,
    '',
    '',
  ].join('\n');
}

function formatState(state: MachineState, style: Style): string {
  return style[TONE[state]](`● ${state}`);
}

function countStates(machines: readonly MachineAnswer[]): string {
  const states = [...new Set(machines.map((machine) => machine.state))];
  const counts = states.map((state) => `${machines.filter((machine) => machine.state === state).length} ${state}`);
  return `${machines.length} ${machines.length === 1 ? 'machine' : 'machines'}: ${counts.join(', ')}`;
}

function nameOf(machine: MachineAnswer): string | undefined {
  return joined([machine.facts.vendor, machine.facts.product], ' ');
}

function joined(parts: readonly (string | undefined)[], separator = ' · '): string | undefined {
  const known = parts.filter((part) => part !== undefined && part !== '');
  return known.length === 0 ? undefined : known.join(separator);
}
