// Machines of several kinds of firmware go from power-on to active members of the fleet, all at once.
import type { BootEvent } from '../../src/events/boot-event.ts';
import { watchFleet } from '../fleet-watch.ts';
import { LAB_IMAGE, writeFleetFiles } from '../fleet-files.ts';
import { judgeFleet, judgeMachine } from '../judge-machine.ts';
import { MusterProcess } from '../muster-process.ts';
import type { FirmwareKind } from '../qemu-arguments.ts';
import { VirtualMachine } from '../virtual-machine.ts';
import type { Lab, ScenarioOutcome } from './scenario.ts';

/** Three machines on two cores take some three minutes; emulation on a busy computer takes its time. */
const LIMIT_SECONDS = 15 * 60;

/** What the machines boot, and how it comes to Muster. */
interface FleetImage {
  /** As profiles name it. */
  readonly reference: string;
  readonly deliver: (muster: MusterProcess) => Promise<void>;
}

export interface JoinFleetOptions {
  readonly firmwares: readonly FirmwareKind[];
  readonly limitSeconds?: number;
  /** Default: kernel, initrd and squashfs of the lab image, imported one by one. */
  readonly image?: FleetImage;
  /** `discover`: machines wait for a person, whom the scenario plays. */
  readonly unknownMachines?: 'discover' | 'enroll';
  /** For scenarios that disturb this one. */
  readonly onEvent?: (event: BootEvent, muster: MusterProcess) => Promise<void> | undefined;
}

export async function joinFleet(lab: Lab, options: JoinFleetOptions): Promise<ScenarioOutcome> {
  const { network, view, signal } = lab;
  const machines = options.firmwares.map(
    (firmware, index) => new VirtualMachine(network, { name: nameOf(firmware, index), firmware }),
  );
  const image = options.image ?? importedImage(lab);
  const files = writeFleetFiles(network.run, machines, image.reference);
  const muster = await MusterProcess.start(network, { ...files, unknownMachines: options.unknownMachines ?? 'enroll' });
  view.note('Muster is ready; bringing in the image');
  await image.deliver(muster);
  signal.throwIfAborted();
  for (const machine of machines) machine.powerOn();
  const fleet = await watchFleet({
    client: muster.client,
    machines,
    view,
    signal,
    limitSeconds: options.limitSeconds ?? LIMIT_SECONDS,
    onEvent: (event) => options.onEvent?.(event, muster),
  });
  const shown = await Promise.all(machines.map(({ mac }) => muster.client.showMachine(mac).catch(() => undefined)));
  const outcomes = fleet.flatMap((progress, index) => {
    const machine = machines[index];
    if (machine === undefined) return [];
    const proof = files.proofOf(machine);
    const evidence = { hardware: machine.hardware, progress, shown: shown[index], console: machine.console, proof };
    return [{ machine, progress, checks: judgeMachine(evidence) }];
  });
  return { machines: outcomes, checks: [judgeFleet(shown)], muster, privateKeyFile: files.privateKeyFile };
}

function importedImage({ image }: Lab): FleetImage {
  return { reference: LAB_IMAGE, deliver: (muster) => muster.client.importImage(LAB_IMAGE, image) };
}

/** A host name (RFC 1123 §2.1) that tells the firmware. */
function nameOf(firmware: FirmwareKind, index: number): string {
  return `${firmware}-${index + 1}`;
}
