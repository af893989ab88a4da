// One machine of the lab: a QEMU process on a tap of the lab's bridge, with its console in a file and its power button on a
// QMP socket. Knows firmware and power, nothing of Muster.
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { consoleTail, judgeConsole, type ConsoleVerdict } from './console-watch.ts';
import type { LabNetwork, LabProcess } from './lab-network.ts';
import { isRunning, signalProcess, waitForExit } from './process-identity.ts';
import { sendQmpCommand } from './qmp-client.ts';
import { OVMF_VARIABLES, qemuArguments, type FirmwareKind, type MachineHardware } from './qemu-arguments.ts';

const DEFAULT_MEMORY_MEBIBYTES = 1_280;
/** The longest quiet spell of a good boot is the fetch of the squashfs root: about 40 s with three machines on two cores. */
const SILENCE_LIMIT_SECONDS = 180;
const QUIT_MILLISECONDS = 5_000;

export interface MachineOptions {
  readonly name: string;
  readonly firmware: FirmwareKind;
  readonly memoryMebibytes?: number;
  readonly silenceLimitSeconds?: number;
  readonly diskGibibytes?: number;
}

export class VirtualMachine {
  readonly hardware: MachineHardware;
  readonly consoleFile: string;
  private readonly network: LabNetwork;
  private readonly silenceLimitSeconds: number;
  private running: { readonly qemu: LabProcess; readonly tap: string } | undefined;
  private consoleSize = 0;
  private consoleGrewAt = 0;

  constructor(network: LabNetwork, options: MachineOptions) {
    this.network = network;
    this.hardware = describeHardware(network.run.runId, options);
    this.consoleFile = network.run.file(`${options.name}.console`);
    this.silenceLimitSeconds = options.silenceLimitSeconds ?? SILENCE_LIMIT_SECONDS;
  }

  get name(): string {
    return this.hardware.name;
  }

  get mac(): string {
    return this.hardware.mac;
  }

  powerOn(): void {
    if (this.running !== undefined) throw new Error(`${this.name} is already on`);
    const tap = this.network.addTap();
    const { disk, consoleFile, qmpSocket, variables } = this;
    const files = { console: consoleFile, qmpSocket, variables, tap, disk };
    const { diskGibibytes } = this.hardware;
    if (diskGibibytes !== undefined && !existsSync(disk)) {
      writeFileSync(disk, '');
      truncateSync(disk, diskGibibytes * 1024 ** 3);
    }
    if (this.hardware.firmware !== 'bios-ipxe' && !existsSync(this.variables))
      copyFileSync(OVMF_VARIABLES, this.variables);
    const qemu = this.network.start({
      name: this.name,
      role: 'lan',
      command: ['qemu-system-x86_64', ...qemuArguments(this.hardware, files)],
    });
    this.running = { qemu, tap };
    this.consoleSize = 0;
    this.consoleGrewAt = performance.now();
  }

  /** The reset button: firmware starts again, memory is lost. */
  async reset(): Promise<void> {
    await sendQmpCommand(this.qmpSocket, 'system_reset');
    this.consoleGrewAt = performance.now();
  }

  /** The plug. A machine that is off already is no error. */
  async powerOff(): Promise<void> {
    const running = this.running;
    if (running === undefined) return;
    this.running = undefined;
    if (isRunning(running.qemu.identity)) {
      await sendQmpCommand(this.qmpSocket, 'quit').catch(() => undefined);
      if (!(await waitForExit(running.qemu.identity, QUIT_MILLISECONDS))) await running.qemu.stop();
    }
    this.network.removeTap(running.tap);
  }

  /** The power fails: nothing in the machine gets to run after it. Disk and firmware's variables stay as they are. */
  async cutPower(): Promise<void> {
    const running = this.running;
    if (running === undefined) return;
    this.running = undefined;
    signalProcess(running.qemu.identity, 'SIGKILL');
    await waitForExit(running.qemu.identity, QUIT_MILLISECONDS);
    this.network.removeTap(running.tap);
  }

  /** Whether the machine still makes headway; to be asked until it is up, since a machine that is up falls silent. */
  judge(now = performance.now()): ConsoleVerdict {
    if (this.running === undefined) return { kind: 'failed', reason: 'it is switched off' };
    if (!isRunning(this.running.qemu.identity)) {
      return {
        kind: 'failed',
        reason: `QEMU ended: ${readFileSync(this.running.qemu.logFile, 'utf8').slice(-500).trim()}`,
      };
    }
    const text = this.console;
    if (text.length !== this.consoleSize) {
      this.consoleSize = text.length;
      this.consoleGrewAt = now;
    }
    const silentSeconds = (now - this.consoleGrewAt) / 1_000;
    return judgeConsole({ text, silentSeconds, silenceLimitSeconds: this.silenceLimitSeconds });
  }

  get console(): string {
    return existsSync(this.consoleFile) ? readFileSync(this.consoleFile, 'utf8') : '';
  }

  consoleTail(lines?: number): string {
    return consoleTail(this.console, lines);
  }

  private get qmpSocket(): string {
    return this.network.run.file(`${this.name}.qmp`);
  }

  private get disk(): string {
    return this.network.run.file(`${this.name}.disk`);
  }

  private get variables(): string {
    return this.network.run.file(`${this.name}.vars.fd`);
  }
}

/** Addresses and numbers that differ for each machine of each run, and stay the same over its resets. */
function describeHardware(runId: string, options: MachineOptions): MachineHardware {
  const bytes = createHash('sha256').update(`${runId}/${options.name}`).digest('hex');
  const octets = bytes.slice(0, 6).match(/../g) ?? [];
  return {
    name: options.name,
    firmware: options.firmware,
    mac: ['52', '54', '00', ...octets].join(':'),
    uuid: `${bytes.slice(8, 16)}-${bytes.slice(16, 20)}-4${bytes.slice(21, 24)}-a${bytes.slice(25, 28)}-${bytes.slice(28, 40)}`,
    serial: `LAB-${runId}-${options.name}`,
    memoryMebibytes: options.memoryMebibytes ?? DEFAULT_MEMORY_MEBIBYTES,
    ...(options.diskGibibytes !== undefined && { diskGibibytes: options.diskGibibytes }),
  };
}
