// Whether a machine has joined the fleet: each claim held against what the server answers, what it recorded, and what the
// machine itself printed on its console. Pure.
import type { BootEvent, BootEventKind } from '../src/events/boot-event.ts';
import type { MachineProgress } from './boot-progress.ts';
import type { ShownMachine } from './muster-client.ts';
import type { FirmwareKind, MachineHardware } from './qemu-arguments.ts';

export interface Check {
  readonly claim: string;
  readonly holds: boolean;
  /** What was found. */
  readonly found: string;
}

export interface Evidence {
  readonly hardware: MachineHardware;
  readonly progress: MachineProgress;
  /** What the server answers now; undefined where it does not know the machine. */
  readonly shown: ShownMachine | undefined;
  readonly console: string;
  /** The line that the machine's console must hold. */
  readonly proof: string;
}

export function judgeMachine(evidence: Evidence): readonly Check[] {
  const { hardware, progress, shown, proof } = evidence;
  const { events } = progress;
  const enrolled = last(events, 'enrolled');
  const applied = last(events, 'config-applied')?.details;
  const hasProof = evidence.console.includes(proof);
  const path = judgePath(hardware.firmware, events);
  return [
    check('it is active', shown?.state === 'active', progress.failure ?? shown?.state ?? 'unknown to the server'),
    check(
      'it has the certificate that it enrolled with',
      enrolled !== undefined && shown?.certificateSerial === enrolled.details.certificateSerial,
      shown?.certificateSerial ?? 'no certificate',
    ),
    check(
      'it told its own serial number and UUID',
      shown?.facts.serial === hardware.serial && shown.facts.uuid?.toLowerCase() === hardware.uuid,
      `${shown?.facts.serial ?? 'no serial'}, ${shown?.facts.uuid ?? 'no UUID'}`,
    ),
    check(
      'cloud-init is done with the config that it was given',
      applied?.cloudInit === 'done' && shown?.configDigest === applied.digest,
      applied === undefined ? 'no report' : `${applied.cloudInit}, ${applied.digest}`,
    ),
    check('it has its host name', applied?.hostname === hardware.name, applied?.hostname ?? 'no report'),
    check('its console shows user, SSH key, file and command', hasProof, hasProof ? proof : 'not on its console'),
    check('it came the way of its firmware', path === undefined, path ?? wayOf(events).join(', ')),
  ];
}

/** Every machine has a certificate of its own. */
export function judgeFleet(machines: readonly (ShownMachine | undefined)[]): Check {
  const serials = machines.map((machine) => machine?.certificateSerial);
  const distinct = new Set(serials.filter((serial) => serial !== undefined));
  const holds = distinct.size === machines.length;
  return check(
    'each machine has a certificate of its own',
    holds,
    `${distinct.size} certificates, ${machines.length} machines`,
  );
}

/** Why the machine cannot have come the way it should; a fallback to another boot option must not pass for success. */
function judgePath(firmware: FirmwareKind, events: readonly BootEvent[]): string | undefined {
  const transports = ofKind(events, 'loader-served').map(({ details }) => details.transport);
  const first = ofKind(events, 'dhcp-offer')[0]?.details.row ?? 'no offer';
  const wanted = {
    'bios-ipxe': first === 'ipxe',
    'ovmf-pxe': first.startsWith('uefi-pxe') && transports.includes('tftp') && !transports.includes('http'),
    'ovmf-http': first === 'uefi-http' && transports.includes('http') && !transports.includes('tftp'),
  }[firmware];
  return wanted ? undefined : `its way was: ${wayOf(events).join(', ')}`;
}

function wayOf(events: readonly BootEvent[]): readonly string[] {
  return [
    ...ofKind(events, 'dhcp-offer').map(({ details }) => `offer ${details.row}`),
    ...ofKind(events, 'loader-served').map(({ details }) => `${details.name} by ${details.transport}`),
  ];
}

function check(claim: string, holds: boolean, found: string): Check {
  return { claim, holds, found };
}

function last<K extends BootEventKind>(events: readonly BootEvent[], kind: K): BootEvent<K> | undefined {
  return ofKind(events, kind).at(-1);
}

function ofKind<K extends BootEventKind>(events: readonly BootEvent[], kind: K): readonly BootEvent<K>[] {
  // The kind decides the details' type (BootEvent), which a generic type guard cannot express.
  return events.filter((event) => event.kind === kind) as unknown as readonly BootEvent<K>[];
}
