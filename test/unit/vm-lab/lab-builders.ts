// Valid defaults for tests of the lab.
import type { BootEvent, NewBootEvent } from '../../../src/events/boot-event.ts';
import type { MachineId } from '../../../src/machines/machine.ts';
import type { MacAddress } from '../../../src/protocol/mac-address.ts';
import { startProgress, type MachineProgress } from '../../../vm-lab/boot-progress.ts';
import type { MachineHardware } from '../../../vm-lab/qemu-arguments.ts';

export const MAC = '52:54:00:aa:bb:cc' as MacAddress;
export const MACHINE_ID = 'm-0011223344556677' as MachineId;

let seq = 0;

/** An event of the one machine, one second after the event before it. */
export function anEvent(event: NewBootEvent): BootEvent {
  seq += 1;
  return { mac: MAC, machineId: MACHINE_ID, ...event, seq, at: 1_000 * seq };
}

export function aMachine(): MachineProgress {
  return startProgress({ name: 'ovmf-pxe-1', firmware: 'OVMF UEFI PXE', mac: MAC }, 0);
}

export function someHardware(overrides: Partial<MachineHardware> = {}): MachineHardware {
  return {
    name: 'ovmf-pxe-1',
    firmware: 'ovmf-pxe',
    mac: MAC,
    uuid: '6f80a763-49f5-49d4-a94f-4c465430e9d0',
    serial: 'LAB-1',
    memoryMebibytes: 1_280,
    ...overrides,
  };
}

/** What the server records of a machine that joins by UEFI PXE. */
export function eventsOfAJoin(): readonly BootEvent[] {
  const transfer = { sizeBytes: 1, durationMs: 1 };
  const news: readonly NewBootEvent[] = [
    { kind: 'machine-discovered', details: { architecture: 'x64-uefi' } },
    { kind: 'dhcp-discover', details: { client: 'pxe', architecture: 'x64-uefi', interface: 'eth0' } },
    { kind: 'dhcp-offer', details: { row: 'uefi-pxe-4011', file: 'ipxe.efi', reason: '' } },
    { kind: 'loader-served', details: { name: 'ipxe.efi', transport: 'tftp', ...transfer } },
    { kind: 'dhcp-discover', details: { client: 'ipxe', architecture: 'x64-uefi', interface: 'eth0' } },
    { kind: 'dhcp-offer', details: { row: 'ipxe', file: 'boot.ipxe', reason: '' } },
    { kind: 'script-served', details: { plan: 'netboot', reason: '' } },
    { kind: 'kernel-served', details: { image: 'lab', ...transfer } },
    { kind: 'squashfs-served', details: { image: 'lab', ...transfer } },
    { kind: 'enrolled', details: { certificateSerial: 'abc', tokenId: 't-1', notAfter: 0 } },
    { kind: 'config-applied', details: { digest: 'sha256:1', hostname: 'ovmf-pxe-1', cloudInit: 'done' } },
    { kind: 'machine-state', details: { from: 'configured', to: 'active', reason: 'reports', by: 'agent' } },
  ];
  return news.map(anEvent);
}
