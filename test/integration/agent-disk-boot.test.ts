import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DIGEST_1, DIGEST_2, DiskLibrary } from '../support/disk-library.ts';

let library: DiskLibrary;
afterEach(() => {
  library.close();
});

const entries = (): readonly string[] => library.list('boot/loader/entries');
const entry = (name: string): string => library.read(`boot/loader/entries/${name}`);
/** Fails with what was said where the last command failed. */
function run(script: string): string {
  const { status, text } = library.run(script);
  if (status !== 0) throw new Error(text);
  return text;
}

describe('boot entries of systemd-boot', () => {
  beforeEach(() => {
    library = new DiskLibrary('uefi');
  });

  it('find the slot by its name, end in a restart where there is none, and say which image they start', () => {
    run('uefi_write_entry A good');
    const words = [
      `root=live:${library.path('dev')}/disk/by-partlabel/MUSTER_A rd.live.image rd.live.overlay.overlayfs=1 rd.shell=0`,
      'rd.emergency=reboot rd.retry=15 panic=5 oops=panic muster.slot=A',
      `muster.image=${DIGEST_1} muster.bootmanifest=${DIGEST_2} muster.url=https://10.0.0.1:8443`,
      `muster.ca=sha256:${'a'.repeat(64)} ds=nocloud quiet console=ttyS0`,
    ];
    expect(entry('muster-a.conf').split('\n')).toEqual([
      'title Muster 1.4 (A)',
      'sort-key muster',
      'version 1',
      'linux /muster/2222222222222222/linux',
      'initrd /muster/2222222222222222/initrd',
      `options ${words.join(' ')}`,
      '',
    ]);
  });

  it('count the tries of a trial in the name (systemd.io/AUTOMATIC_BOOT_ASSESSMENT), with a watchdog and a higher version', () => {
    run('uefi_write_entry A good && mark_trial B');
    expect(entries()).toEqual(['muster-a.conf', 'muster-b+3.conf']);
    expect(entry('muster-b+3.conf')).toMatch(/^version 2$/m);
    expect(entry('muster-b+3.conf')).toMatch(/ quiet console=ttyS0 muster\.watchdog=600$/m);
    library.order({ order_tries: '2' });
    run('mark_trial A');
    expect(entries()).toEqual(['muster-a+2.conf', 'muster-b+3.conf']);
    expect(entry('muster-a+2.conf')).toMatch(/^version 3$/m);
  });

  it('are rid of all others of the same slot first: a power cut can leave two', () => {
    for (const name of ['muster-b.conf', 'muster-b+2-1.conf', 'muster-b+0-3.conf', 'muster-a.conf'])
      library.write(`boot/loader/entries/${name}`, 'version 7\n');
    run('mark_trial B');
    expect(entries()).toEqual(['muster-a.conf', 'muster-b+3.conf']);
    expect(entry('muster-b+3.conf')).toMatch(/^version 8$/m);
  });

  it('lose their counter and their watchdog when the slot is good, and nothing when it was good already', () => {
    run('mark_trial B');
    const words = entry('muster-b+3.conf');
    run(
      'mv "$boot_folder/loader/entries/muster-b+3.conf" "$boot_folder/loader/entries/muster-b+2-1.conf"; boot_slot=B; mark_good',
    );
    expect(entries()).toEqual(['muster-b.conf']);
    expect(entry('muster-b.conf')).toBe(words.replace(' muster.watchdog=600', ''));
    run('boot_slot=B; mark_good');
    expect(entries()).toEqual(['muster-b.conf']);
  });

  it('have no tries left when the slot is given up', () => {
    library.write('boot/loader/entries/muster-b+1-2.conf', 'version 2\n');
    library.write('boot/loader/entries/muster-a.conf', 'version 1\n');
    run('boot_slot=B; mark_bad');
    expect(entries()).toEqual(['muster-a.conf', 'muster-b+0-2.conf']);
    run('boot_slot=B; mark_bad');
    expect(entries()).toEqual(['muster-a.conf', 'muster-b+0-2.conf']);
  });

  it('say whether a slot is on trial', () => {
    library.write('boot/loader/entries/muster-b+2-1.conf', '');
    library.write('boot/loader/entries/muster-a.conf', '');
    expect(library.run('is_on_trial B').status).toBe(0);
    expect(library.run('is_on_trial A').status).toBe(1);
  });

  it('have one for recovery that comes after all others', () => {
    run('uefi_write_recovery_entry');
    expect(entry('muster-recovery.conf')).toMatch(/^sort-key zz$/m);
    expect(entry('muster-recovery.conf')).toMatch(/by-partlabel\/COS_RECOVERY .* muster\.recovery muster\.image=/);
  });

  it('come with a loader that has no default entry: it would be chosen with no tries left, too', () => {
    library.write('efi/systemd-bootx64.efi', 'loader');
    run(`MUSTER_SYSTEMD_BOOT='${library.path('efi')}'; uname() { echo x86_64; }; uefi_install_loader`);
    expect(library.read('boot/EFI/BOOT/BOOTX64.EFI')).toBe('loader');
    expect(library.read('boot/loader/loader.conf')).toBe('timeout 0\neditor no\nauto-entries no\nauto-firmware no\n');
  });
});

describe('boot order of UEFI', () => {
  const said = (order: string, current = ''): string =>
    [
      ...(current === '' ? [] : [`BootCurrent: ${current}`]),
      `BootOrder: ${order}`,
      'Boot0000* UiApp\tFvVol(7cb8bdc9)',
      'Boot0001* UEFI PXEv4 (MAC:52)\tPciRoot(0x0)/Pci(0x2,0x0)/MAC(52,1)/IPv4(0.0.0.0,0,0)',
      'Boot0002* UEFI HTTPv4 (MAC:52)\tPciRoot(0x0)/Pci(0x2,0x0)/MAC(52,1)/IPv4(0.0.0.0,0,0)/Uri()',
      'Boot0003* UEFI Misc Device\tPciRoot(0x0)/Pci(0x3,0x0)',
      'Boot0004* Muster\tHD(1,GPT,ed68)/File(\\EFI\\BOOT\\BOOTX64.EFI)',
    ].join('\n');

  /** The order that efibootmgr is told. */
  function order(text: string): string {
    library.write('said', `${text}\n`);
    for (const number of ['0000', '0001', '0002', '0003', '0004'])
      library.write(`sys/firmware/efi/efivars/Boot${number}-8be4df61-93ca-11d2-aa0d-00e098032b8c`, `option ${number}`);
    library.program('efibootmgr', `echo "$*" >>'${library.path('asked')}'; cat '${library.path('said')}'`);
    run('disk=/dev/vda; order_boot_options');
    return /--bootorder (\S+)/.exec(library.read('asked'))?.[1] ?? '';
  }

  beforeEach(() => {
    library = new DiskLibrary('uefi');
  });

  it('is the network option that this boot came by, the disk, the rest, and a copy of the first', () => {
    expect(order(said('0000,0001,0002,0003', '0002'))).toBe('0002,0004,0000,0001,0003,0005');
  });

  it('begins with the first network option where this boot came by none of them', () => {
    expect(order(said('0003,0000,0001,0002', '0000'))).toBe('0001,0004,0003,0000,0002,0005');
  });

  it('takes a copy that is there for the copy, so that it stays one', () => {
    library.write('sys/firmware/efi/efivars/Boot0007-8be4df61-93ca-11d2-aa0d-00e098032b8c', 'option 0001');
    expect(order(said('0001,0003,0007', '0001'))).toBe('0001,0004,0003,0007');
    expect(library.list('sys/firmware/efi/efivars')).toHaveLength(6);
  });

  it('begins with the disk where there is no network option', () => {
    expect(order(said('0000,0003').replaceAll('MAC(', 'X('))).toBe('0004,0000,0003');
  });

  it('is left alone where the firmware lets nobody change it', () => {
    library.program('efibootmgr', 'exit 2');
    library.program('modprobe', 'exit 1');
    library.program('mountpoint', 'exit 1');
    library.program('mount', 'exit 1');
    expect(run('disk=/dev/vda; order_boot_options')).toMatch(/^info: the boot order cannot be changed on this machine/);
  });
});

describe('boot choice of GRUB', () => {
  const environment = (): string => library.read('boot/grub/grubenv');
  const values = (): string => environment().split('\n').slice(1, -1).join(' ');

  beforeEach(() => {
    library = new DiskLibrary('bios');
  });

  it('lies in a block of 1024 bytes that GRUB reads (grub-editenv)', () => {
    run('bios_write_entry A good && mark_trial B');
    expect(environment()).toHaveLength(1024);
    expect(environment()).toMatch(/^# GRUB Environment Block\n(?:[a-z]+=\S*\n)+#+$/);
    const list = spawnSync('grub-editenv', [library.path('boot/grub/grubenv'), 'list'], { encoding: 'utf8' });
    const expected = 'good=A goodver=2222222222222222 trial=B trialver=2222222222222222 tries=3';
    expect(values()).toBe(expected);
    if (list.error === undefined) expect(list.stdout.trim().split('\n').join(' ')).toBe(expected);
  });

  it('is the trial until it is found good', () => {
    run('bios_write_entry A good; order_boot=sha256:3333333333333333; mark_trial B');
    expect(library.run('is_on_trial B').status).toBe(0);
    expect(library.run('is_on_trial A').status).toBe(1);
    run('boot_slot=B; mark_good');
    expect(values()).toBe('good=B goodver=3333333333333333 trial= trialver= tries=0');
    expect(library.run('is_on_trial B').status).toBe(1);
  });

  it('keeps the name of a trial that was given up, without tries', () => {
    run('bios_write_entry A good && mark_trial B; boot_slot=B; mark_bad');
    expect(values()).toBe('good=A goodver=2222222222222222 trial=B trialver=2222222222222222 tries=0');
    run('boot_slot=A; mark_good');
    expect(values()).toContain('good=A ');
  });

  it('forgets a slot that is about to be written', () => {
    run('bios_write_entry A good && mark_trial B && remove_entry B');
    expect(values()).toBe('good=A goodver=2222222222222222 trial= trialver= tries=0');
    expect(library.list('boot/grub')).toEqual(['grubenv', 'slot-A.cfg']);
  });

  it('counts up to nine tries down, one line each: GRUB has no arithmetic', () => {
    library.order({ order_tries: '12' });
    run('bios_write_entry A good && mark_trial B');
    expect(values()).toMatch(/tries=9$/);
    const script = run('print_grub_configuration');
    expect(script.match(/then set tries=\d; set state=trial; fi/g)).toHaveLength(9);
    const check = spawnSync('grub-script-check', { input: script, encoding: 'utf8' });
    if (check.error === undefined) expect(check.stderr).toBe('');
  });

  it('hands the words to GRUB in single quotes', () => {
    library.order({ order_command_line: 'a=1;b {c} $d' });
    run('bios_write_entry A good');
    expect(library.read('boot/grub/slot-A.cfg')).toMatch(/^set words='root=live:.* ds=nocloud a=1;b \{c\} \$d'$/m);
  });

  it('names the folders whose kernels must stay', () => {
    run('bios_write_entry A good; order_boot=sha256:4444444444444444; bios_write_recovery_entry');
    expect(run('print_named_folders').trim().split('\n').sort()).toEqual(['2222222222222222', '4444444444444444']);
  });
});
