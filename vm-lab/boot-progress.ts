// How far each machine has come, told from the server's events alone. Pure: events and times in, progress out.
import { z } from 'zod';
import type { BootEvent, BootEventKind } from '../src/events/boot-event.ts';

/** The way of a machine, in order; a machine never goes back on it within one boot. */
export const STAGES = [
  'power on',
  'DISCOVER',
  'OFFER',
  'loader',
  'script',
  'kernel',
  'squashfs',
  'enrolled',
  'configured',
  'active',
] as const;
type Stage = (typeof STAGES)[number];

const STAGE_OF_EVENT: Readonly<Partial<Record<BootEventKind, Stage>>> = {
  'dhcp-discover': 'DISCOVER',
  'dhcp-offer': 'OFFER',
  'dhcp-pxe-ack': 'OFFER',
  'loader-served': 'loader',
  'script-served': 'script',
  'kernel-served': 'kernel',
  'squashfs-served': 'squashfs',
  enrolled: 'enrolled',
  'config-applied': 'configured',
};

export interface MachineProgress {
  readonly name: string;
  readonly firmware: string;
  readonly mac: string;
  /** Known from the first event that names both the address and the machine. */
  readonly machineId?: string;
  readonly stage: Stage;
  /** The stages that were reached, with milliseconds since 1970. The first is `power on`. */
  readonly reached: readonly { readonly stage: Stage; readonly at: number }[];
  /** Why the machine will not come up. */
  readonly failure?: string;
  readonly events: readonly BootEvent[];
}

export function startProgress(machine: { name: string; firmware: string; mac: string }, at: number): MachineProgress {
  return { ...machine, stage: 'power on', reached: [{ stage: 'power on', at }], events: [] };
}

/** Reads one line of `muster events --json`; undefined where it is none. */
export function parseEventLine(line: string): BootEvent | undefined {
  const schema = z.looseObject({ seq: z.number(), at: z.number(), kind: z.string(), details: z.looseObject({}) });
  try {
    return schema.parse(JSON.parse(line)) as unknown as BootEvent;
  } catch {
    return undefined;
  }
}

/** The fleet after an event. Events of strangers, and events seen before, change nothing. */
export function advanceFleet(fleet: readonly MachineProgress[], event: BootEvent): readonly MachineProgress[] {
  return fleet.map((machine) => (concerns(machine, event) ? advance(machine, event) : machine));
}

export function failMachine(machine: MachineProgress, failure: string): MachineProgress {
  return machine.failure === undefined ? { ...machine, failure } : machine;
}

function concerns(machine: MachineProgress, event: BootEvent): boolean {
  if ((machine.events.at(-1)?.seq ?? 0) >= event.seq) return false;
  return event.mac === machine.mac || (event.machineId !== undefined && event.machineId === machine.machineId);
}

function advance(machine: MachineProgress, event: BootEvent): MachineProgress {
  const failure = machine.failure ?? failureOf(event);
  const stage = stageOf(event);
  const forward = stage !== undefined && STAGES.indexOf(stage) > STAGES.indexOf(machine.stage);
  return {
    ...machine,
    ...(event.machineId === undefined ? {} : { machineId: event.machineId }),
    ...(forward ? { stage, reached: [...machine.reached, { stage, at: event.at }] } : {}),
    ...(failure === undefined ? {} : { failure }),
    events: [...machine.events, event],
  };
}

function stageOf(event: BootEvent): Stage | undefined {
  if (event.kind === 'machine-state') return event.details.to === 'active' ? 'active' : undefined;
  return STAGE_OF_EVENT[event.kind];
}

function failureOf(event: BootEvent): string | undefined {
  switch (event.kind) {
    case 'config-failed':
      return `its configuration failed: ${event.details.reason}`;
    case 'enrollment-refused':
      return `its enrollment was refused: ${event.details.code}`;
    case 'dhcp-no-loader':
      return `there is no loader for ${event.details.architecture}`;
    case 'machine-state':
      return event.details.to === 'failed' ? `the server took it for failed: ${event.details.reason}` : undefined;
    default:
      return undefined;
  }
}
