// The disk side of the agent (boot-assets/agent/lib) in QEMU, from an empty disk to a slot that fell back, with both kinds of
// firmware: real partitions, real file systems, real boot loaders, and the plug pulled on the way.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensureLabImage, type LabImage } from '../../vm-lab/image.ts';
import { missingForMachines } from '../../vm-lab/prerequisites.ts';
import { DiskLab, LAB_WORDS, type Artifact, type DiskFirmware } from '../support/disk-lab.ts';

const LIMIT_MILLISECONDS = 45 * 60 * 1_000;
/** Some three times what a boot takes beside other work on two cores. */
const BOOT_SECONDS = 240;
const missing = missingForMachines(['ovmf-pxe']);
const title =
  missing.length === 0 ? 'disk side of the agent' : `disk side of the agent [skipped: ${missing.join('; ')}]`;

interface Release {
  /** A hex digit, for all digests of it that nobody checks here. */
  readonly digit: string;
  readonly squashfs: Artifact;
  readonly tries?: number;
}

/** What the console said in each chapter. */
interface Story {
  readonly interrupted: string;
  readonly installed: string;
  readonly begunUpgrade: string;
  readonly upgraded: string;
  readonly trial: string;
  readonly blessed: string;
  readonly fellBack: string;
}

/** What the agent's worker sets from a checked order, as shell. */
function orderOf(lab: DiskLab, { digit, squashfs, tries = 3 }: Release): string {
  const { kernel, initrd } = lab.boot();
  const words = ['console=ttyS0', 'mitigations=off', 'cloud-init=disabled', ...LAB_WORDS].join(' ');
  return `
order_id=order-${digit} order_image=sha256:${digit.repeat(64)} order_boot=sha256:${digit.repeat(64)} order_version=${digit}.0
order_artifacts_url=${lab.url} order_rate_bytes=0 order_command_line='${words}' order_tries=${tries} order_trial_seconds=900
order_disk_min_bytes= order_disk_max_bytes= order_disk_model= order_disk_path= order_disk_force= order_slot_mebibytes=160
order_recovery= server=https://10.0.2.2:1 pin=${'a'.repeat(64)}
kernel_digest=${kernel.digest} kernel_bytes=${kernel.bytes} initrd_digest=${initrd.digest} initrd_bytes=${initrd.bytes}
squashfs_digest=${squashfs.digest} squashfs_bytes=${squashfs.bytes} order_folder=$state/order
mkdir -p "$order_folder/trust/release" "$order_folder/trust/operator"
printf 'a key\\n' >"$order_folder/trust/release/1.pub"
printf '/etc/ssh\\n' >"$order_folder/persist"
`;
}

const UPGRADE = `
open_oem
passive_slot
outcome_of write_slot "$passive"
outcome_of install_boot_files
outcome_of mark_trial "$passive"
show_boot_choice
`;

async function tellStory(image: LabImage, firmware: DiskFirmware): Promise<Story> {
  const lab = new DiskLab(image);
  await lab.listen();
  const machine = lab.machine(firmware, 1_600);
  const first = orderOf(lab, { digit: '1', squashfs: lab.boot().squashfs });
  const second = orderOf(lab, { digit: '2', squashfs: lab.boot().squashfs });
  const garbage = lab.path('garbage.squashfs');
  writeFileSync(garbage, randomBytes(5_000_000));
  const third = orderOf(lab, { digit: '3', squashfs: lab.serve(garbage), tries: 1 });
  const end = async (from: 'network' | 'disk' | 'restart', task: string): Promise<string> => {
    const started = Date.now();
    lab.task = task;
    if (from === 'network') machine.startFromNetwork();
    if (from === 'disk') machine.startFromDisk();
    const up = await machine.until(/LAB \S+ up:.*/, 2 * BOOT_SECONDS);
    const upSeconds = Math.round((Date.now() - started) / 1_000);
    const said = await machine.until(/LAB \S+ task ended/, BOOT_SECONDS);
    console.log(
      `${firmware}: up from ${from} after ${upSeconds} s, task ended after ${Math.round((Date.now() - started) / 1_000)} s`,
    );
    return up + said;
  };

  try {
    lab.task = `${first}\norder_rate_bytes=4000000\noutcome_of install_to_disk`;
    machine.startFromNetwork();
    const interrupted = await machine.until(/progress downloading 33554432/, 2 * BOOT_SECONDS);
    await machine.off();
    const installed = await end(
      'network',
      `${first}\noutcome_of install_to_disk\nsfdisk --dump /dev/vda\nshow_installed
      outcome_of install_to_disk\norder_id=another\noutcome_of install_to_disk`,
    );
    await machine.off();

    lab.task = `${second}\norder_rate_bytes=4000000\n${UPGRADE}`;
    machine.startFromDisk();
    const begunUpgrade = await machine.until(/progress downloading 50331648/, 2 * BOOT_SECONDS);
    await machine.off();
    lab.fetched.length = 0;
    const upgraded = await end(
      'disk',
      `${second}${UPGRADE}disk=/dev/vda\nif [ "$firmware" = uefi ]; then order_boot_options; efibootmgr -v; fi\nrestart=yes`,
    );
    const refetched = `${lab.fetched.join('\n')}\n`;
    const trial = await end('restart', `outcome_of write_slot A\noutcome_of mark_good\nshow_boot_choice\nrestart=yes`);
    const blessed = await end('restart', `${third}${UPGRADE}restart=yes`);
    const fellBack = await end('restart', 'show_boot_choice');
    return { interrupted, installed, begunUpgrade, upgraded: refetched + upgraded, trial, blessed, fellBack };
  } finally {
    await machine.off();
    await lab.close();
  }
}

describe.skipIf(missing.length > 0)(title, () => {
  const stories = new Map<DiskFirmware, Story>();
  const of = (firmware: DiskFirmware): Story => {
    const story = stories.get(firmware);
    if (story === undefined) throw new Error(`the story of ${firmware} was not told to its end`);
    return story;
  };

  beforeAll(async () => {
    const image = await ensureLabImage(console.log);
    await Promise.all(
      (['uefi', 'bios'] as const).map(async (firmware) => {
        stories.set(firmware, await tellStory(image, firmware));
      }),
    );
  }, LIMIT_MILLISECONDS);

  describe.each(['uefi', 'bios'] as const)('%s', (firmware) => {
    it('installs to a disk where an installation was interrupted, and names the boot partition last', () => {
      expect(of(firmware).interrupted).toContain('installs to /dev/vda');
      const { installed } = of(firmware);
      expect(installed).toMatch(/install_to_disk: ok/);
      const names = [...installed.matchAll(/name="(\w+)"/g)].map(([, name]) => name);
      const grub = firmware === 'bios' ? ['MUSTER_BIOS'] : [];
      expect(names).toEqual(['COS_GRUB', ...grub, 'COS_OEM', 'COS_RECOVERY', 'MUSTER_A', 'MUSTER_B', 'COS_PERSISTENT']);
      expect(installed).toContain('trust/release/1.pub');
    });

    it('takes the same order for done when it comes again, and no other one without force', () => {
      const { installed } = of(firmware);
      expect(installed).toContain('/dev/vda was installed by this order already');
      expect(installed.match(/install_to_disk: ok/g)).toHaveLength(2);
      expect(installed).toContain('install_to_disk: refused: no disk can be installed to: vda holds data');
    });

    it('starts from slot A of the disk', () => {
      expect(of(firmware).begunUpgrade).toMatch(/up: slot=A/);
    });

    it('goes on after a power cut where the download of an upgrade was, and leaves slot A alone until all is verified', () => {
      const { upgraded } = of(firmware);
      expect(upgraded).toMatch(/up: slot=A/);
      expect(upgraded).toMatch(/^sha256:[0-9a-f]{64} (?:33554432|50331648)-/);
      expect(upgraded).toMatch(/mark_trial: ok/);
    });

    it('tries slot B, refuses to write while it is on trial, and keeps it when it is found good', () => {
      const { trial, blessed } = of(firmware);
      expect(trial).toMatch(/up: slot=B/);
      expect(trial).toMatch(/write_slot: retry: what this machine runs is on trial itself/);
      expect(trial).toMatch(/mark_good: ok/);
      if (firmware === 'uefi') {
        expect(trial).toContain('FILE loader/entries/muster-b.conf');
        expect(trial).not.toMatch(/muster-b\+|muster\.watchdog/);
      } else {
        expect(trial).toMatch(/good=B\s+goodver=2222222222222222\s+trial=\s+trialver=\s+tries=0/);
      }
      expect(blessed).toMatch(/up: slot=B/);
    });

    it('comes back by itself from an image that does not start, with the kernel of the image before removed', () => {
      const { blessed, fellBack } = of(firmware);
      expect(blessed).toMatch(/mark_trial: ok/);
      expect(fellBack).toMatch(/up: slot=B/);
      expect(fellBack).toMatch(
        firmware === 'uefi' ? /FILE loader\/entries\/muster-a\+0-1\.conf/ : /good=B\s[^]*trial=A\s[^]*tries=0/,
      );
      expect(fellBack).toMatch(/FOLDERS \S*\/1{16} \S*\/2{16} \S*\/3{16} /);
    });
  });

  it('puts the disk between the network and all else, and the network last once more (UEFI)', () => {
    const { upgraded } = of('uefi');
    const order = /BootOrder: (\S+)/.exec(upgraded.slice(upgraded.lastIndexOf('BootOrder')))?.[1]?.split(',') ?? [];
    const labels = order.map((number) => new RegExp(`Boot${number}\\* ([^\\t\\r\\n]+)`).exec(upgraded)?.[1] ?? number);
    expect(labels[0]).toMatch(/PXEv4/);
    expect(labels[1]).toBe('Muster');
    expect(labels.at(-1)).toBe(labels[0]);
  });
});
