// The command line of a lab machine for each kind of firmware. Pure; each argument that looks odd says which firmware wants it.

export const FIRMWARE_KINDS = ['bios-ipxe', 'ovmf-pxe', 'ovmf-http'] as const;
export type FirmwareKind = (typeof FIRMWARE_KINDS)[number];

export const FIRMWARE_LABELS: Readonly<Record<FirmwareKind, string>> = {
  'bios-ipxe': 'SeaBIOS, iPXE ROM',
  'ovmf-pxe': 'OVMF UEFI PXE',
  'ovmf-http': 'OVMF HTTP Boot',
};

export const OVMF_CODE = '/usr/share/OVMF/OVMF_CODE_4M.fd';
export const OVMF_VARIABLES = '/usr/share/OVMF/OVMF_VARS_4M.fd';

export interface MachineHardware {
  readonly name: string;
  readonly firmware: FirmwareKind;
  readonly mac: string;
  readonly uuid: string;
  readonly serial: string;
  readonly memoryMebibytes: number;
  /** Of its empty disk; absent for a machine without one. */
  readonly diskGibibytes?: number;
}

export interface MachineFiles {
  readonly console: string;
  readonly qmpSocket: string;
  /** A writable copy of OVMF_VARS_4M.fd; unused with BIOS. */
  readonly variables: string;
  readonly tap: string;
  /** Raw and sparse; unused without a disk. */
  readonly disk: string;
}

export function qemuArguments(machine: MachineHardware, files: MachineFiles): readonly string[] {
  const bios = machine.firmware === 'bios-ipxe';
  return [
    ...['-name', machine.name, '-accel', 'tcg', '-nodefaults', '-display', 'none', '-monitor', 'none'],
    // graphics=off makes SeaBIOS, and with it iPXE, write to the serial port too.
    ...['-machine', bios ? 'q35,graphics=off' : 'q35'],
    // One virtual CPU: live boots with two ran into RCU stalls under TCG. Without svm=off the guest loads kvm_amd.
    ...['-smp', '1', '-cpu', 'qemu64,-svm', '-m', String(machine.memoryMebibytes)],
    // Without -uuid DHCP option 97 is all zeros.
    ...['-uuid', machine.uuid],
    ...['-smbios', `type=1,manufacturer=Muster,product=VM lab,serial=${machine.serial}`],
    ...['-device', 'virtio-rng-pci'],
    // What it said before its power was cut stays.
    ...['-chardev', `file,id=console,path=${files.console},append=on`, '-serial', 'chardev:console'],
    ...['-qmp', `unix:${files.qmpSocket},server=on,wait=off`],
    ...['-netdev', `tap,id=n0,ifname=${files.tap},script=no,downscript=no`],
    // An empty romfile leaves the network card to EDK2's own stack; otherwise the iPXE option ROM loads.
    // A BIOS is told to try the network first. UEFI firmware keeps its own order, which an installation changes.
    ...['-device', `virtio-net-pci,netdev=n0,mac=${machine.mac}${bios ? ',bootindex=1' : ',romfile='}`],
    ...(machine.diskGibibytes === undefined ? [] : diskArguments(machine, files.disk)),
    ...firmwareArguments(machine.firmware, files),
  ];
}

function diskArguments({ serial, firmware }: MachineHardware, file: string): readonly string[] {
  const bootIndex = firmware === 'bios-ipxe' ? ',bootindex=2' : '';
  return [
    ...['-drive', `if=none,id=disk0,format=raw,file=${file}`],
    // virtio cuts serials at 20 characters.
    ...['-device', `virtio-blk-pci,drive=disk0,serial=${serial.slice(0, 20)}${bootIndex}`],
  ];
}

function firmwareArguments(firmware: FirmwareKind, files: MachineFiles): readonly string[] {
  const flash = [
    ...['-drive', `if=pflash,format=raw,readonly=on,file=${OVMF_CODE}`],
    ...['-drive', `if=pflash,format=raw,file=${files.variables}`],
  ];
  // OvmfPkg reads these names from fw_cfg and leaves the boot option out; each one left in costs a minute of time-outs.
  const without = (protocol: string): readonly string[] => [
    '-fw_cfg',
    `name=opt/org.tianocore/${protocol}Support,string=n`,
  ];
  switch (firmware) {
    case 'bios-ipxe':
      return [];
    case 'ovmf-pxe':
      return [...flash, ...without('IPv6PXE')];
    case 'ovmf-http':
      return [...flash, ...without('IPv4PXE'), ...without('IPv6PXE')];
  }
}
