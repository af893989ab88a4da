// What a person asks the lab for on its command line. Pure.
import { parseArgs } from 'node:util';
import { FIRMWARE_KINDS, type FirmwareKind } from './qemu-arguments.ts';

const SCENARIO_NAMES = ['join-fleet', 'kill-server', 'registry-boot', 'upgrade'] as const;
type ScenarioName = (typeof SCENARIO_NAMES)[number];

export type LabRequest =
  | {
      readonly kind: 'run';
      readonly scenario: ScenarioName;
      readonly firmwares: readonly FirmwareKind[];
      readonly keep: boolean;
    }
  | { readonly kind: 'stop' }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly reason: string };

export const LAB_USAGE = `Boots virtual machines through the whole way, from firmware to active member of a fleet.

  npm run lab [-- [scenario] [options]]

Scenarios
  join-fleet    (the default) SeaBIOS + iPXE ROM, OVMF PXE and OVMF HTTP Boot, all at once
  kill-server   the server is killed and restarted while a machine joins
  upgrade       machines are installed to their disks and led from image to image, over bad ones too
  registry-boot a container image is pushed by skopeo, a machine boots from it, and it is pulled back

Options
  --firmware KIND   ${FIRMWARE_KINDS.join(', ')}; may be repeated
  --keep            leave server and machines running, and say how to reach them
  --stop            stop what --keep left running
  --help            this text

Needs root, QEMU, OVMF, the iPXE ROMs of QEMU and dnsmasq; see vm-lab/README.md.
`;

export function parseLabOptions(words: readonly string[]): LabRequest {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        firmware: { type: 'string', multiple: true },
        keep: { type: 'boolean' },
        stop: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help === true) return { kind: 'help' };
    if (values.stop === true) return { kind: 'stop' };
    const [name = 'join-fleet', ...others] = positionals;
    const scenario = SCENARIO_NAMES.find((known) => known === name);
    if (scenario === undefined || others.length > 0) {
      return wrong(`no scenario ${positionals.join(' ')}: give one of ${SCENARIO_NAMES.join(', ')}`);
    }
    return withFirmwares(scenario, values.firmware ?? [], values.keep === true);
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
}

function withFirmwares(scenario: ScenarioName, named: readonly string[], keep: boolean): LabRequest {
  const unknown = named.find((name) => !FIRMWARE_KINDS.some((kind) => kind === name));
  if (unknown !== undefined) return wrong(`no firmware ${unknown}: give one of ${FIRMWARE_KINDS.join(', ')}`);
  const chosen = FIRMWARE_KINDS.filter((kind) => named.includes(kind));
  switch (scenario) {
    case 'join-fleet':
      return { kind: 'run', scenario, firmwares: chosen.length === 0 ? FIRMWARE_KINDS : chosen, keep };
    case 'upgrade':
      return {
        ...{ kind: 'run', scenario, keep },
        firmwares: chosen.length === 0 ? ['ovmf-pxe', 'ovmf-pxe', 'ovmf-pxe'] : chosen,
      };
    case 'kill-server':
    case 'registry-boot':
      if (chosen.length > 1) return wrong(`${scenario} boots one machine: give --firmware once`);
      return { kind: 'run', scenario, firmwares: chosen.length === 0 ? ['ovmf-pxe'] : chosen, keep };
  }
}

function wrong(reason: string): LabRequest {
  return { kind: 'wrong', reason };
}
