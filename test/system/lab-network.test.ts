// The lab's own ground: namespaces that never meet, a plain DHCP server, machines that ask it, and nothing left behind.
// Needs root (and QEMU for the last part); what is missing skips the tests with the reason in their name.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { LabNetwork } from '../../vm-lab/lab-network.ts';
import { missingForMachines, missingForNetwork } from '../../vm-lab/prerequisites.ts';
import { identifyProcess, isRunning, stopProcess } from '../../vm-lab/process-identity.ts';
import { FIRMWARE_KINDS, type FirmwareKind } from '../../vm-lab/qemu-arguments.ts';
import { RunFolder, sweepStaleRuns } from '../../vm-lab/run-folder.ts';
import { VirtualMachine } from '../../vm-lab/virtual-machine.ts';

const LAB = resolve(import.meta.dirname, '../../vm-lab');
const runsDirectory = mkdtempSync(join(tmpdir(), 'muster-lab-test-'));
const open: RunFolder[] = [];

const newRun = (): RunFolder => {
  const run = RunFolder.create(runsDirectory);
  open.push(run);
  return run;
};

const inNamespace = (network: LabNetwork, role: 'lan' | 'dhcp' | 'srv', ...command: string[]): string => {
  const [program, ...words] = network.enter(role);
  return spawnSync(program, [...words, ...command], { encoding: 'utf8' }).stdout;
};

/** A host that refuses a connection is there; one that is not there lets it time out. */
const reachesRouter = (network: LabNetwork): boolean => {
  const script = `
    const socket = require('node:net').connect(9, '10.77.0.2');
    socket.setTimeout(3000, () => socket.destroy());
    socket.on('error', (error) => console.log(error.code));`;
  return inNamespace(network, 'srv', process.execPath, '-e', script).includes('ECONNREFUSED');
};

const namespaces = (): string => spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout;

const skipping = (missing: readonly string[]): string =>
  missing.length === 0 ? '' : ` [skipped: ${missing.join('; ')}]`;

afterEach(async () => {
  for (const run of open.splice(0)) await run.close();
});
afterAll(() => {
  rmSync(runsDirectory, { recursive: true });
});

describe.skipIf(missingForNetwork().length > 0)(`lab network${skipping(missingForNetwork())}`, () => {
  it('has a plain DHCP server, a place for Muster, and no way out of any namespace', async () => {
    const network = await LabNetwork.create(newRun());
    expect(network.dhcpLog).toContain('10.77.0.100');
    expect(reachesRouter(network)).toBe(true);
    for (const role of ['lan', 'dhcp', 'srv'] as const) {
      for (const family of ['-4', '-6']) {
        expect(inNamespace(network, role, 'ip', family, 'route', 'show', 'default'), `${role} ${family}`).toBe('');
      }
    }
  });

  it('keeps two runs apart: the end of one leaves the other as it was', async () => {
    const first = await LabNetwork.create(newRun());
    const second = await LabNetwork.create(newRun());
    expect(first.namespace('srv')).not.toBe(second.namespace('srv'));
    await first.run.close();
    expect(namespaces()).not.toContain(first.run.runId);
    expect(reachesRouter(second)).toBe(true);
  });

  it('sweeps what a killed run left behind, and no living run', async () => {
    const living = await LabNetwork.create(newRun());
    const script = `
      import { RunFolder } from '${LAB}/run-folder.ts';
      import { LabNetwork } from '${LAB}/lab-network.ts';
      const network = await LabNetwork.create(RunFolder.create('${runsDirectory}'));
      console.log(network.run.runId);
      process.kill(process.pid, 'SIGKILL');`;
    const killed = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    const runId = killed.stdout.trim();
    expect(killed.signal).toBe('SIGKILL');
    expect(namespaces()).toContain(`muster-${runId}-srv`);
    const [dnsmasq] = new RunFolder(join(runsDirectory, runId), runId).processes;
    expect(dnsmasq).toBeDefined();

    expect(await sweepStaleRuns(runsDirectory)).toEqual([runId]);

    expect(namespaces()).not.toContain(runId);
    expect(dnsmasq === undefined || isRunning(dnsmasq)).toBe(false);
    expect(existsSync(join(runsDirectory, runId))).toBe(false);
    expect(living.run.processes).toHaveLength(1);
    expect(namespaces()).toContain(living.namespace('srv'));
  });

  it('leaves a kept run alone for as long as anything of it runs', async () => {
    const run = newRun();
    const network = await LabNetwork.create(run);
    run.keep();
    const kept = new RunFolder(run.path, run.runId);
    expect(kept.kept).toBe(true);
    expect(kept.living).toBe(true);
    expect(await sweepStaleRuns(runsDirectory)).toEqual([]);
    expect(network.run.processes).toHaveLength(1);
  });

  it('never stops a process that only has the number of one it started', async () => {
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    const identity = identifyProcess(stranger.pid ?? 0);
    if (identity === undefined) throw new Error('sleep did not start');
    const run = newRun();
    run.recordProcess('gone', { pid: identity.pid, startTicks: identity.startTicks - 1 });
    await run.close();
    expect(isRunning(identity)).toBe(true);
    await stopProcess(identity);
    expect(isRunning(identity)).toBe(false);
  });
});

/** How each firmware calls itself to a DHCP server (option 60: RFC 2132 §9.13, PXE 2.1 §2.2.1, UEFI 2.10 §24.7). */
const VENDOR_CLASS: Readonly<Record<FirmwareKind, string>> = {
  'bios-ipxe': 'PXEClient:Arch:00000:UNDI:002001',
  'ovmf-pxe': 'PXEClient:Arch:00007:UNDI:003000',
  'ovmf-http': 'HTTPClient:Arch:00016:UNDI:003000',
};
const missing = missingForMachines(FIRMWARE_KINDS);

describe.skipIf(missing.length > 0)(`lab machines${skipping(missing)}`, () => {
  it.each(FIRMWARE_KINDS)(
    'asks DHCP as %s does, again after a reset, and is gone when switched off',
    { timeout: 90_000 },
    async (firmware) => {
      const network = await LabNetwork.create(newRun());
      const machine = new VirtualMachine(network, { name: 'probe', firmware, memoryMebibytes: 512 });
      const discovers = () => network.dhcpLog.split(`vendor class: ${VENDOR_CLASS[firmware]}`).length - 1;
      const untilDiscover = async (count: number) => {
        while (discovers() < count && machine.judge().kind === 'going') await sleep(100);
        expect(discovers()).toBeGreaterThanOrEqual(count);
      };
      machine.powerOn();
      await untilDiscover(1);
      expect(network.dhcpLog).toContain(machine.mac);
      const consoleBefore = machine.console.length;
      const seen = discovers();
      await machine.reset();
      await untilDiscover(seen + 1);
      expect(machine.console.length).toBeGreaterThan(consoleBefore);
      await machine.powerOff();
      expect(machine.judge()).toEqual({ kind: 'failed', reason: 'it is switched off' });
      expect(network.run.processes).toHaveLength(1);
    },
  );
});
