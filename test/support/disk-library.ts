// The disk side of the agent (boot-assets/agent/lib) as shell functions in a folder of their own: a made-up /sys and /dev, and
// a boot partition that is a folder. For what needs no disk.
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const LIBRARY = join(import.meta.dirname, '../../boot-assets/agent/lib');
const PARTS = [
  'facts',
  'disk-tools',
  'choose-disk',
  'partition-disk',
  'slots',
  'boot-entries',
  'boot-order',
  'grub',
  'boot-choice',
  'install',
];

export const DIGEST_1 = `sha256:${'1'.repeat(64)}`;
export const DIGEST_2 = `sha256:${'2'.repeat(64)}`;

const ORDER = {
  order_id: 'order-1',
  order_image: DIGEST_1,
  order_boot: DIGEST_2,
  order_version: '1.4',
  order_artifacts_url: 'http://127.0.0.1:9',
  order_rate_bytes: '0',
  order_command_line: 'quiet console=ttyS0',
  order_tries: '3',
  order_trial_seconds: '600',
  order_disk_min_bytes: '',
  order_disk_max_bytes: '',
  order_disk_model: '',
  order_disk_path: '',
  order_disk_force: '',
  order_slot_mebibytes: '100',
  order_recovery: '',
  kernel_bytes: '10',
  initrd_bytes: '20',
  squashfs_bytes: '1000000',
  server: 'https://10.0.0.1:8443',
  pin: 'a'.repeat(64),
  boot_slot: '',
  connect_seconds: '5',
} as const;

export type OrderVariable = keyof typeof ORDER;

export interface ShellOutcome {
  /** Of the last command. */
  readonly status: number;
  /** Standard output, and what was said on standard error. */
  readonly text: string;
}

export class DiskLibrary {
  readonly folder = mkdtempSync(join(tmpdir(), 'muster-disk-library-'));
  readonly #order: Partial<Record<OrderVariable, string>> = {};

  constructor(firmware: 'uefi' | 'bios' = 'uefi') {
    for (const folder of ['dev', 'sys/block', 'work', 'boot/loader/entries', 'boot/grub', 'oem/muster', 'state'])
      mkdirSync(this.path(folder), { recursive: true });
    if (firmware === 'uefi') mkdirSync(this.path('sys/firmware/efi'), { recursive: true });
    this.write('proc/self/mountinfo', '22 1 0:20 / / rw - overlay LiveOS_rootfs rw\n');
    this.write('proc/swaps', 'Filename\n');
    this.write('proc/sys/vm/drop_caches', '');
    this.write('state/ca.pem', '');
    // The boot partition counts as mounted.
    this.program('mountpoint', 'exit 0');
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, text: string | Buffer): string {
    const path = this.path(name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8');
  }

  list(name: string): readonly string[] {
    return readdirSync(this.path(name)).sort();
  }

  /** A program that is found before the one of the system. */
  program(name: string, script: string): void {
    chmodSync(this.write(`bin/${name}`, `#!/bin/sh\n${script}\n`), 0o755);
  }

  order(variables: Partial<Record<OrderVariable, string>>): void {
    Object.assign(this.#order, variables);
  }

  /** A sparse file in /dev, and what the kernel says of it in /sys. */
  disk(name: string, mebibytes: number, said: Readonly<Record<string, string>> = {}): string {
    const node = this.write(`dev/${name}`, '');
    truncateSync(node, mebibytes * 1_048_576);
    const attributes = { size: String(mebibytes * 2048), removable: '0', ro: '0', dev: '254:0', ...said };
    for (const [attribute, value] of Object.entries(attributes))
      this.write(`sys/block/${name}/${attribute}`, `${value}\n`);
    return node;
  }

  partition(disk: string, node: string, name: string, device = '254:1'): void {
    this.write(`sys/block/${disk}/${node}/uevent`, `DEVNAME=${node}\nPARTNAME=${name}\n`);
    this.write(`sys/block/${disk}/${node}/dev`, `${device}\n`);
  }

  run(script: string): ShellOutcome {
    const { status, stdout, stderr } = spawnSync('sh', ['-c', this.#whole(script)], {
      encoding: 'utf8',
      env: this.#environment(),
    });
    return { status: status ?? -1, text: `${stdout}${stderr}` };
  }

  /** As run, for scripts that ask a server in this very process. */
  async runBeside(script: string): Promise<ShellOutcome> {
    const child = spawn('sh', ['-c', this.#whole(script)], {
      env: this.#environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const status = await new Promise<number | null>((resolve, reject) =>
      child.once('error', reject).once('close', resolve),
    );
    return { status: status ?? -1, text };
  }

  #whole(script: string): string {
    const order = Object.entries({ ...ORDER, ...this.#order }).map(([name, value]) => `${name}='${value}'`);
    return [
      'set -u',
      'set -f',
      'umask 077',
      `sys='${this.path('sys')}' state='${this.path('state')}' work='${this.path('work')}'`,
      'log() { printf "%s: %s\\n" "$1" "$2"; }',
      'tell_progress() { printf "progress %s\\n" "$*"; }',
      "outcome='' reason=''",
      ...order,
      ...PARTS.map((part) => `. '${join(LIBRARY, part)}.sh'`),
      script,
    ].join('\n');
  }

  #environment(): Record<string, string> {
    return {
      PATH: `${this.path('bin')}:${process.env.PATH ?? ''}:/usr/sbin:/sbin`,
      LC_ALL: 'C',
      MUSTER_DEV: this.path('dev'),
      MUSTER_PROC: this.path('proc'),
      MUSTER_OEM: this.path('oem'),
      MUSTER_BOOT_FOLDER: this.path('boot'),
      MUSTER_FETCH_ATTEMPTS: '3',
      MUSTER_FETCH_PAUSE_SECONDS: '0',
    };
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
