import { execFileSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskLibrary } from '../support/disk-library.ts';

let library: DiskLibrary;
beforeEach(() => {
  library = new DiskLibrary();
});
afterEach(() => {
  library.close();
});

/** The disk that is chosen, or the outcome and its reason. */
function choose(): string {
  const { text } = library.run('if choose_disk >/dev/null; then echo "$disk"; else echo "$outcome: $reason"; fi');
  return text.trim().replace(`${library.path('dev')}/`, '');
}

describe('choice of the disk', () => {
  it('takes the one disk that is big enough and empty', () => {
    library.disk('vda', 1_000);
    library.disk('vdb', 900);
    expect(choose()).toBe('vda');
  });

  it('says of each disk why it is not the one, with the numbers', () => {
    library.disk('vdb', 900);
    expect(choose()).toBe(
      'refused: no disk can be installed to: vdb has 943718400 bytes, slots and all take 988807168;',
    );
  });

  it('refuses where there is no disk', () => {
    expect(choose()).toBe('refused: no disk can be installed to: this machine has none');
  });

  it('needs no room for a recovery image that the order does not want', () => {
    library.disk('vdb', 900);
    library.order({ order_recovery: 'no' });
    expect(choose()).toBe('vdb');
  });

  it('refuses an image that is larger than a slot', () => {
    library.disk('vda', 9_000);
    library.order({ squashfs_bytes: '104857601' });
    expect(choose()).toBe('refused: the image has 104857601 bytes, a slot 104857600');
  });

  it('never looks at removable, read-only, hidden or made-up devices', () => {
    library.disk('sdb', 2_000, { removable: '1' });
    library.disk('sdc', 2_000, { ro: '1' });
    library.disk('nvme0c0n1', 2_000, { hidden: '1' });
    for (const name of ['loop0', 'ram0', 'zram0', 'sr0', 'fd0', 'dm-0', 'md0', 'nbd0']) library.disk(name, 2_000);
    expect(choose()).toBe('refused: no disk can be installed to: this machine has none');
  });

  it('refuses several disks that fit and names them, the smaller ones first', () => {
    library.disk('sda', 3_000);
    library.disk('sdb', 2_000);
    expect(choose()).toBe('refused: several disks fit: sdb sda; the profile must name one by path, model or size');
  });

  it('goes by the size that the order asks for', () => {
    library.disk('sda', 3_000);
    library.disk('sdb', 2_000);
    library.order({ order_disk_min_bytes: String(2_500 * 1_048_576) });
    expect(choose()).toBe('sda');
    library.order({ order_disk_min_bytes: '', order_disk_max_bytes: String(2_500 * 1_048_576) });
    expect(choose()).toBe('sdb');
  });

  it('goes by a pattern for the model, without the spaces that fill it up', () => {
    library.disk('sda', 2_000, { 'device/model': 'WDC WD10EZEX    ' });
    library.disk('sdb', 2_000, { 'device/model': 'Samsung SSD 870 ' });
    library.order({ order_disk_model: 'Samsung*870' });
    expect(choose()).toBe('sdb');
    library.order({ order_disk_model: 'Intel*' });
    expect(choose()).toBe('refused: no disk can be installed to: sda is a "WDC WD10EZEX"; sdb is a "Samsung SSD 870";');
  });

  it('goes by a pattern for the path, and does not take the path of a partition for it', () => {
    library.disk('sda', 2_000);
    library.disk('sdb', 2_000);
    library.write('dev/sda1', '');
    library.write('dev/disk/by-path/empty', '');
    symlinkSync('../../sdb', library.path('dev/disk/by-path/pci-0000:00:1f.2-ata-2'));
    symlinkSync('../../sda1', library.path('dev/disk/by-path/pci-0000:00:1f.2-ata-2-part1'));
    library.order({ order_disk_path: '/dev/disk/by-path/pci-*-ata-2*' });
    expect(choose()).toBe('sdb');
  });

  it('takes the smallest of several that have the model that was asked for, and none of them with force', () => {
    for (const [name, size] of [
      ['sda', 3_000],
      ['sdb', 2_000],
    ] as const)
      library.disk(name, size, { 'device/model': 'SSD' });
    library.order({ order_disk_model: 'SSD' });
    expect(choose()).toBe('sdb');
    library.order({ order_disk_force: 'yes' });
    expect(choose()).toBe('refused: several disks fit, and with force one must be named alone: sdb sda');
  });

  it('never takes a disk with a file system or a table on it, unless the order says so', () => {
    execFileSync('mkfs.ext4', ['-q', '-F', library.disk('sda', 2_000)]);
    execFileSync('dd', ['conv=notrunc', 'status=none', 'bs=1', 'seek=510', `of=${library.disk('sdb', 2_001)}`], {
      input: Buffer.from([0x55, 0xaa]),
    });
    expect(choose()).toMatch(/^refused: no disk can be installed to: sda holds data; /);
    library.order({ order_disk_force: 'yes', order_disk_max_bytes: String(2_000 * 1_048_576) });
    expect(choose()).toBe('sda');
  });

  it('takes a disk that cannot be read for one with data', () => {
    library.disk('sda', 2_000);
    library.program('blkid', 'exit 4');
    expect(choose()).toContain('sda holds data');
  });

  it('goes on with the disk where an installation of its own was interrupted', () => {
    execFileSync('mkfs.ext4', ['-q', '-F', library.disk('sdb', 2_000)]);
    library.partition('sdb', 'sdb1', 'MUSTER_NEW');
    library.disk('sda', 2_000);
    expect(choose()).toBe('sdb');
  });

  it('never takes a disk that is in use, whatever the order says', () => {
    library.order({ order_disk_force: 'yes' });
    library.disk('sda', 2_000, { dev: '8:0' });
    library.partition('sda', 'sda1', 'root', '8:1');
    library.write('proc/self/mountinfo', '30 1 8:1 / /mnt rw - ext4 /dev/sda1 rw\n');
    expect(choose()).toContain('sda is in use');
    // btrfs has a made-up device number.
    library.write('proc/self/mountinfo', `30 1 0:41 / /mnt rw - btrfs ${library.path('dev/sda1')} rw\n`);
    expect(choose()).toContain('sda is in use');
    library.write('proc/self/mountinfo', '');
    library.write('proc/swaps', `Filename Type\n${library.path('dev/sda1')} partition\n`);
    expect(choose()).toContain('sda is in use');
    library.write('proc/swaps', '');
    expect(choose()).toBe('sda');
    library.write('sys/block/loop3/loop/backing_file', `${library.path('dev/sda1')}\n`);
    expect(choose()).toContain('sda is in use');
    library.write('sys/block/loop3/loop/backing_file', '/squashfs\n');
    library.write('sys/block/sda/sda1/holders/dm-0', '');
    expect(choose()).toContain('sda is in use');
  });

  it.each(['MUSTER_A', 'COS_OEM'])(
    'refuses a second disk beside one with %s: either of them would be found',
    (name) => {
      execFileSync('mkfs.ext4', ['-q', '-F', library.disk('sdb', 2_000)]);
      library.partition('sdb', 'sdb5', name);
      library.disk('sda', 2_000);
      expect(choose()).toBe(
        'refused: no disk can be installed to: sda would share the names of its partitions with sdb; sdb holds data;',
      );
    },
  );
});

describe('partitions', () => {
  const layout = (): readonly string[] => library.run('print_layout').text.trim().split('\n');

  it('are those of Kairos with two slots; the boot partition has a name of its own until the end', () => {
    expect(layout()).toEqual([
      'label: gpt',
      'start=1MiB, size=512MiB, type=uefi, name=MUSTER_NEW',
      'size=64MiB, type=linux, name=COS_OEM',
      'size=100MiB, type=linux, name=COS_RECOVERY',
      'size=100MiB, type=linux, name=MUSTER_A',
      'size=100MiB, type=linux, name=MUSTER_B',
      'type=linux, name=COS_PERSISTENT',
    ]);
  });

  it('have one for the core of GRUB where there is a BIOS, and none for recovery where nobody wants it', () => {
    library.close();
    library = new DiskLibrary('bios');
    library.order({ order_recovery: 'no' });
    expect(layout()[2]).toBe('size=1MiB, type=21686148-6449-6E6F-744E-656564454649, name=MUSTER_BIOS');
    expect(layout().join()).not.toContain('COS_RECOVERY');
  });
});
