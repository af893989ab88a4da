import { describe, expect, it } from 'vitest';
import { qemuArguments, type FirmwareKind } from '../../../vm-lab/qemu-arguments.ts';
import { someHardware } from './lab-builders.ts';

const FILES = { console: '/run/c', qmpSocket: '/run/q', variables: '/run/v', tap: 'tap0', disk: '/run/d' };
const argumentsOf = (firmware: FirmwareKind) => qemuArguments(someHardware({ firmware }), FILES).join(' ');

describe('qemuArguments', () => {
  it('leaves the iPXE ROM to BIOS and takes it from UEFI, which would otherwise not use its own network stack', () => {
    expect(argumentsOf('bios-ipxe')).toMatch(/-device virtio-net-pci,netdev=n0,mac=[0-9a-f:]+,bootindex=1$/);
    expect(argumentsOf('ovmf-pxe')).toContain('mac=52:54:00:aa:bb:cc,romfile= ');
  });

  it('leaves UEFI exactly one way to boot: the boot options before it are switched off by fw_cfg', () => {
    expect(argumentsOf('ovmf-pxe').match(/IPv[46]PXESupport/g)).toEqual(['IPv6PXESupport']);
    expect(argumentsOf('ovmf-http').match(/IPv[46]PXESupport/g)).toEqual(['IPv4PXESupport', 'IPv6PXESupport']);
  });

  it('gives each machine its UUID and serial number, which DHCP option 97 and the agent show', () => {
    expect(argumentsOf('ovmf-http')).toContain('-uuid 6f80a763-49f5-49d4-a94f-4c465430e9d0');
    expect(argumentsOf('ovmf-http')).toContain('serial=LAB-1');
  });

  it('puts the disk behind the network: what boots from it is sent there', () => {
    const words = qemuArguments(someHardware({ firmware: 'bios-ipxe', diskGibibytes: 3 }), FILES).join(' ');
    expect(words).toContain(
      '-drive if=none,id=disk0,format=raw,file=/run/d -device virtio-blk-pci,drive=disk0,serial=LAB-1,bootindex=2',
    );
  });

  it('has one virtual CPU: two ran into RCU stalls under emulation', () => {
    expect(argumentsOf('bios-ipxe')).toContain('-smp 1 ');
  });
});
