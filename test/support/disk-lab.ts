// One QEMU machine with an empty disk, a server for what it fetches, and a script it runs: the disk side of the agent on a
// real kernel, real tools and real firmware. User-mode network: nothing of it is seen outside the process.
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  createReadStream,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildTokenInitrd, type InitrdFile } from '../../src/boot/build-token-initrd.ts';
import type { LabImage } from '../../vm-lab/image.ts';
import { OVMF_CODE, OVMF_VARIABLES } from '../../vm-lab/qemu-arguments.ts';

export type DiskFirmware = 'bios' | 'uefi';

export interface Artifact {
  readonly file: string;
  readonly digest: string;
  readonly bytes: number;
}

const AGENT = join(import.meta.dirname, '../../boot-assets/agent/lib');
const MACHINE_SCRIPT = join(import.meta.dirname, 'disk-machine.sh');
const UNIT = `[Unit]
Description=Disk lab
Wants=network-online.target
After=network-online.target
[Service]
ExecStart=/bin/sh /run/disk-lab/disk-machine.sh `;
/** A login on the serial port would take it away from the script (vhangup). */
export const LAB_WORDS = ['systemd.mask=serial-getty@ttyS0.service', 'systemd.mask=ssh.service'];
const TMPFILES = `C /run/disk-lab - - - - /muster/disk-lab
C /run/systemd/system/disk-lab.service - - - - /muster/disk-lab/disk-lab.service
L /run/systemd/system/multi-user.target.wants/disk-lab.service - - - - ../disk-lab.service
`;

export class DiskLab {
  readonly folder = mkdtempSync(join(tmpdir(), 'muster-disk-'));
  /** What the machine runs when it is up next. */
  task = '';
  /** Each request for an artifact: digest and range. */
  readonly fetched: string[] = [];
  readonly #image: LabImage;
  readonly #artifacts = new Map<string, Artifact>();
  #server: Server | undefined;
  #port = 0;

  constructor(image: LabImage) {
    this.#image = image;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  get url(): string {
    return `http://10.0.2.2:${this.#port}`;
  }

  async listen(): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(request, response);
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    writeFileSync(
      this.path('initrd.img'),
      Buffer.concat([padded(readFileSync(this.#image.initrd)), this.#ownInitrd()]),
    );
  }

  /** Kernel, initrd (with the lab's script in it) and root file system of the lab image. */
  boot(): { readonly kernel: Artifact; readonly initrd: Artifact; readonly squashfs: Artifact } {
    return {
      kernel: this.serve(this.#image.kernel),
      initrd: this.serve(this.path('initrd.img')),
      squashfs: this.serve(this.#image.squashfs),
    };
  }

  serve(file: string): Artifact {
    const hash = createHash('sha256').update(readFileSync(file)).digest('hex');
    const artifact = { file, digest: `sha256:${hash}`, bytes: statSync(file).size };
    this.#artifacts.set(artifact.digest, artifact);
    return artifact;
  }

  machine(firmware: DiskFirmware, diskMebibytes: number): DiskMachine {
    const name = `machine-${firmware}-${readdirSync(this.folder).length}`;
    writeFileSync(this.path(`${name}.disk`), '');
    truncateSync(this.path(`${name}.disk`), diskMebibytes * 1024 * 1024);
    if (firmware === 'uefi') copyFileSync(OVMF_VARIABLES, this.path(`${name}.vars`));
    return new DiskMachine(this, firmware, name, this.#image.kernel);
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? '';
    if (url === '/task') {
      response.end(this.task);
      return;
    }
    const artifact = this.#artifacts.get(url.replace('/artifacts/', '')) ?? this.#artifacts.get(this.#rootDigest(url));
    if (artifact === undefined) {
      response.writeHead(404).end();
      return;
    }
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const start = Number(range?.[1] ?? 0);
    const end = Math.min(Number(range?.[2] ?? artifact.bytes - 1), artifact.bytes - 1);
    if (range !== null) this.fetched.push(`${artifact.digest} ${start}-${end}`);
    response.writeHead(range === null ? 200 : 206, {
      'content-length': end - start + 1,
      ...(range !== null && { 'content-range': `bytes ${start}-${end}/${artifact.bytes}` }),
    });
    createReadStream(artifact.file, { start, end }).pipe(response);
  }

  #rootDigest(url: string): string {
    if (url !== '/rootfs.squashfs') return '';
    return [...this.#artifacts.values()].find(({ file }) => file === this.#image.squashfs)?.digest ?? '';
  }

  #ownInitrd(): Uint8Array {
    const parts = readdirSync(AGENT).map((name): InitrdFile => ({
      path: `muster/disk-lab/lib/${name}`,
      content: readFileSync(join(AGENT, name)),
    }));
    return buildTokenInitrd('no-token', [
      { path: 'muster/disk-lab/disk-machine.sh', content: readFileSync(MACHINE_SCRIPT) },
      { path: 'muster/disk-lab/disk-lab.service', content: `${UNIT}${this.url}\n` },
      { path: 'usr/lib/tmpfiles.d/disk-lab.conf', content: TMPFILES },
      ...parts,
    ]);
  }
}

/** QEMU for as long as it is on; the disk and the firmware's variables stay. */
export class DiskMachine {
  readonly disk: string;
  readonly console: string;
  readonly #lab: DiskLab;
  readonly #firmware: DiskFirmware;
  readonly #kernel: string;
  readonly #variables: string;
  #qemu: ChildProcess | undefined;
  #seen = 0;

  constructor(lab: DiskLab, firmware: DiskFirmware, name: string, kernel: string) {
    this.#lab = lab;
    this.#firmware = firmware;
    this.#kernel = kernel;
    this.disk = lab.path(`${name}.disk`);
    this.console = lab.path(`${name}.console`);
    this.#variables = lab.path(`${name}.vars`);
    writeFileSync(this.console, '');
  }

  /** As if netbooted: the root comes over HTTP into RAM. */
  startFromNetwork(): void {
    const words = [
      ...[`root=live:${this.#lab.url}/rootfs.squashfs`, 'rd.live.image', 'rd.live.overlay.overlayfs=1', 'rd.neednet=1'],
      ...['ip=dhcp', 'console=ttyS0', 'mitigations=off', 'panic=-1', 'cloud-init=disabled', ...LAB_WORDS],
    ];
    this.#start(['-kernel', this.#kernel, '-initrd', this.#lab.path('initrd.img'), '-append', words.join(' ')]);
  }

  startFromDisk(): void {
    this.#start(['-boot', 'c']);
  }

  /** The plug: what the guest did not sync may be lost. */
  async off(): Promise<void> {
    const qemu = this.#qemu;
    this.#qemu = undefined;
    if (qemu?.exitCode !== null) return;
    const ended = new Promise((resolve) => qemu.once('exit', resolve));
    qemu.kill('SIGKILL');
    await ended;
  }

  /** Waits until the console shows it, beyond what was waited for before: the text up to there. */
  async until(pattern: RegExp, seconds: number): Promise<string> {
    const started = Date.now();
    for (;;) {
      const text = readFileSync(this.console, 'utf8').slice(this.#seen);
      const found = pattern.exec(text);
      if (found !== null) {
        const end = found.index + found[0].length;
        this.#seen += end;
        return text.slice(0, end);
      }
      const late = Date.now() - started > seconds * 1000;
      if (late || this.#qemu?.exitCode !== null)
        throw new Error(`${late ? `not within ${seconds} s` : 'QEMU ended'}: ${String(pattern)}\n${text.slice(-4000)}`);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  #start(boot: readonly string[]): void {
    writeFileSync(this.console, '');
    this.#seen = 0;
    const flash = [
      ...['-drive', `if=pflash,format=raw,readonly=on,file=${OVMF_CODE}`],
      ...['-drive', `if=pflash,format=raw,file=${this.#variables}`],
    ];
    const qemu = spawn(
      'qemu-system-x86_64',
      [
        ...['-accel', 'tcg', '-nodefaults', '-display', 'none', '-monitor', 'none', '-smp', '1', '-m', '1024'],
        ...['-machine', this.#firmware === 'bios' ? 'q35,graphics=off' : 'q35', '-cpu', 'qemu64,-svm'],
        ...['-device', 'virtio-rng-pci', '-serial', `file:${this.console}`],
        ...['-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0'],
        ...[
          '-drive',
          `if=none,id=d0,format=raw,cache=writeback,file=${this.disk}`,
          '-device',
          'virtio-blk-pci,drive=d0',
        ],
        ...(this.#firmware === 'uefi' ? flash : []),
        ...boot,
      ],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    );
    this.#qemu = qemu;
  }
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
