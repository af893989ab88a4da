// What the lab needs of the computer it runs on, each with the Debian package that brings it.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { OVMF_CODE, OVMF_VARIABLES, type FirmwareKind } from './qemu-arguments.ts';

const NETWORK_PROGRAMS = { ip: 'iproute2', dnsmasq: 'dnsmasq-base' };
const BIOS_ROM = '/usr/lib/ipxe/qemu/pxe-virtio.rom';

/** One sentence for each thing that namespaces and the plain DHCP server lack here; none when all is there. */
export function missingForNetwork(): readonly string[] {
  const root = process.getuid?.() === 0 ? [] : ['the lab makes network namespaces: run it as root'];
  return [...root, ...missingPrograms(NETWORK_PROGRAMS)];
}

export function missingForMachines(firmwares: readonly FirmwareKind[]): readonly string[] {
  const ovmf = firmwares.some((kind) => kind !== 'bios-ipxe') ? [OVMF_CODE, OVMF_VARIABLES] : [];
  const bios = firmwares.includes('bios-ipxe') ? [BIOS_ROM] : [];
  return [
    ...missingForNetwork(),
    ...missingPrograms({ 'qemu-system-x86_64': 'qemu-system-x86' }),
    ...missingFiles(ovmf, 'ovmf'),
    ...missingFiles(bios, 'ipxe-qemu'),
  ];
}

/** For an image that comes as a container image. */
export function missingForContainerImage(): readonly string[] {
  return missingPrograms({ skopeo: 'skopeo', umoci: 'umoci' });
}

function missingPrograms(packages: Readonly<Record<string, string>>): readonly string[] {
  const folders = (process.env.PATH ?? '').split(':');
  return Object.entries(packages)
    .filter(([program]) => !folders.some((folder) => existsSync(join(folder, program))))
    .map(([program, name]) => `${program} is not in the PATH: apt-get install ${name}`);
}

function missingFiles(files: readonly string[], name: string): readonly string[] {
  return files.filter((file) => !existsSync(file)).map((file) => `${file} is missing: apt-get install ${name}`);
}
