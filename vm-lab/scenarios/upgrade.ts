// Machines are installed to their disks and then led from image to image: v1 installed, v2 in waves, v3 that panics and v4 that
// fails its health probe, both of which the canary must survive by itself, and v1 again on command. One machine loses its power
// while it writes v2.
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { BootEvent } from '../../src/events/boot-event.ts';
import { readContainerImage, type ContainerTag } from '../container-image.ts';
import { startProgress } from '../boot-progress.ts';
import { writeFleetFiles } from '../fleet-files.ts';
import type { Check } from '../judge-machine.ts';
import type { ShownMachine } from '../muster-client.ts';
import { MusterProcess } from '../muster-process.ts';
import { FIRMWARE_LABELS, type FirmwareKind } from '../qemu-arguments.ts';
import { Skopeo } from '../skopeo.ts';
import { renderUpgradeTable, type UpgradeStep } from '../upgrade-table.ts';
import { VirtualMachine } from '../virtual-machine.ts';
import type { Lab, ScenarioOutcome } from './scenario.ts';

const REPOSITORY = 'fleet/os';
const DISK_GIBIBYTES = 3;
const LOOK_MILLISECONDS = 1_000;
const DATA_FILE = '/usr/local/lab-data';
const DATA_COMMANDS = [
  `[ -e ${DATA_FILE} ] || cat /proc/sys/kernel/random/uuid >${DATA_FILE}`,
  `echo "lab-data $(cat ${DATA_FILE})" >/dev/console`,
];
const TRIAL_SECONDS = 240;
/** Of one step, with several machines on few processors. */
const STEP_SECONDS = 20 * 60;

export interface UpgradeOptions {
  readonly firmwares: readonly FirmwareKind[];
  /** An OCI layout with the tags `1` to `4`, see container-image.ts. */
  readonly layout: string;
  /** v1, v2, and v3 that panics: what one machine can show in a few minutes. */
  readonly brief?: boolean;
}

export async function upgrade(lab: Lab, options: UpgradeOptions): Promise<ScenarioOutcome> {
  const machines = options.firmwares.map(
    (firmware, index) =>
      new VirtualMachine(lab.network, {
        name: `${firmware}-${index + 1}`,
        firmware,
        diskGibibytes: DISK_GIBIBYTES,
        silenceLimitSeconds: STEP_SECONDS,
      }),
  );
  return new UpgradeStory(lab, machines, options).tell();
}

const rolloutAnswer = z.looseObject({
  rollout: z.looseObject({ id: z.string(), state: z.string(), stateReason: z.string() }),
});
const progressAnswer = rolloutAnswer.extend({
  members: z.array(z.looseObject({ name: z.string(), state: z.string(), reason: z.string() })),
});
type Progress = z.infer<typeof progressAnswer>;

class UpgradeStory {
  readonly #lab: Lab;
  readonly #machines: readonly VirtualMachine[];
  readonly #options: UpgradeOptions;
  readonly #checks: Check[] = [];
  readonly #steps: UpgradeStep[] = [];
  readonly #events: BootEvent[] = [];
  readonly #keys: Readonly<Record<'release' | 'operator', string>>;
  #began = performance.now();
  #muster: MusterProcess | undefined;

  constructor(lab: Lab, machines: readonly VirtualMachine[], options: UpgradeOptions) {
    this.#lab = lab;
    this.#machines = machines;
    this.#options = options;
    this.#keys = { release: this.#makeKey('release'), operator: this.#makeKey('operator') };
  }

  async tell(): Promise<ScenarioOutcome> {
    const { run } = this.#lab.network;
    const files = writeFleetFiles(run, this.#machines, `${REPOSITORY}:1`, {
      install: { slotMebibytes: 400 },
      commands: DATA_COMMANDS,
    });
    this.#muster = await MusterProcess.start(this.#lab.network, {
      ...files,
      unknownMachines: 'enroll',
      upgrades: {
        releaseKeys: [`${this.#keys.release}.pub`],
        operatorKeys: [`${this.#keys.operator}.pub`],
        trialSeconds: TRIAL_SECONDS,
        offlineSeconds: 120,
        tickMilliseconds: 500,
      },
    });
    const muster = this.#muster;
    const following = new AbortController();
    const signal = AbortSignal.any([this.#lab.signal, following.signal]);
    const followed = muster.client.followEvents((event) => this.#events.push(event), signal);
    try {
      await this.#play();
    } catch (error) {
      this.#check('the story comes to its end', false, error instanceof Error ? error.message : String(error));
    } finally {
      following.abort();
      await followed.catch(() => undefined);
    }
    this.#lab.view.note(`\n${renderUpgradeTable(this.#steps)}`);
    const shown = await this.#shown().catch((): readonly ShownMachine[] => []);
    const outcomes = this.#machines.map((machine) => {
      const id = shown.find(({ macs }) => macs.includes(machine.mac))?.id;
      const { name, mac } = machine;
      const progress = startProgress({ name, mac, firmware: FIRMWARE_LABELS[machine.hardware.firmware] }, Date.now());
      const events = this.#events.filter(({ machineId }) => machineId !== undefined && machineId === id);
      return { machine, progress: { ...progress, events }, checks: [] };
    });
    return { machines: outcomes, checks: this.#checks, muster, privateKeyFile: files.privateKeyFile };
  }

  async #play(): Promise<void> {
    const { brief = false } = this.#options;
    await this.#push('1');
    await this.#install();
    const v2 = await this.#push('2');
    const toV2 = await this.#rollOut('v2 by waves', '2', { cutPower: !brief && this.#machines.length > 1 });
    await this.#expectEverywhere('v2', v2, toV2);
    this.#checkData('v2');
    const v3 = await this.#push('3');
    await this.#expectHalt('v3 panics', v2, v3, '3');
    if (brief) return;
    const v4 = await this.#push('4');
    await this.#expectHalt('v4 is ill', v2, v4, '4');
    const v1 = await readContainerImage(this.#options.layout, '1');
    const back = await this.#rollBack(toV2.rollout.id);
    await this.#expectEverywhere('v1 again', v1.manifest.digest, back);
    this.#checkData('v1 again');
  }

  async #install(): Promise<void> {
    const v1 = await readContainerImage(this.#options.layout, '1');
    this.#began = performance.now();
    for (const machine of this.#machines) machine.powerOn();
    const ended = await this.#until('every machine runs v1 from its disk', async () => {
      const shown = await this.#shown();
      return shown.filter(({ running, state }) => isGood(running, v1.manifest.digest) && state === 'active');
    });
    for (const machine of this.#machines) this.#step('v1 installed', machine.name, this.#seconds(), 'slot A');
    this.#check('every machine installed v1 and runs it from its disk', ended, await this.#describe());
  }

  /** Pushes, waits for the conversion, signs. Gives the digest of the image. */
  async #push(tag: ContainerTag): Promise<string> {
    const { layout } = this.#options;
    const { manifest } = await readContainerImage(layout, tag);
    const muster = this.#server();
    const { network, signal, view } = this.#lab;
    await new Skopeo(network, muster.dataDirectory, signal).push(layout, tag, `${REPOSITORY}:${tag}`);
    const ready = await this.#until(`v${tag} is ready`, async () => {
      const images = await muster.client.listImages();
      const refused = images.find(({ digest, refusal }) => digest === manifest.digest && refusal !== undefined);
      if (refused?.refusal !== undefined) throw new Error(`v${tag} was refused: ${refused.refusal.detail}`);
      return images.some(({ digest, state }) => digest === manifest.digest && state === 'ready')
        ? this.#machines.map(() => undefined)
        : [];
    });
    if (!ready) throw new Error(`v${tag} was not ready in time`);
    await muster.client.ask('images', 'sign', `${REPOSITORY}:${tag}`, '--key', `${this.#keys.release}.key`);
    view.note(`v${tag} is pushed, converted and signed`);
    return manifest.digest;
  }

  async #rollOut(name: string, tag: ContainerTag, { cutPower = false } = {}): Promise<Progress> {
    const { client } = this.#server();
    const limits = ['--max-unavailable', '100%', '--max-failures', '0', '--min-sample', '0', '--deadline', '20m'];
    const created = await client.ask(
      ...['rollouts', 'create', '--image', `${REPOSITORY}:${tag}`, '--to', '*', '--waves', '1,100%', '--soak', '10s'],
      ...limits,
    );
    const { rollout } = rolloutAnswer.parse(created);
    this.#began = performance.now();
    await client.ask('rollouts', 'approve', rollout.id, '--key', `${this.#keys.operator}.key`);
    this.#lab.view.note(`${name}: rollout ${rollout.id} begins`);
    const cut = cutPower ? this.#cutPowerOfLast(rollout.id) : undefined;
    const progress = await this.#follow(name, rollout.id);
    await cut;
    return progress;
  }

  async #rollBack(id: string): Promise<Progress> {
    const { client } = this.#server();
    this.#began = performance.now();
    await client.ask('rollouts', 'rollback', id);
    const all = z
      .looseObject({ rollouts: z.array(z.looseObject({ id: z.string(), rollbackOf: z.string().optional() })) })
      .parse(await client.ask('rollouts', 'list'));
    const draft = all.rollouts.find(({ rollbackOf }) => rollbackOf === id);
    if (draft === undefined) throw new Error(`there is no rollback of ${id}`);
    await client.ask('rollouts', 'approve', draft.id, '--key', `${this.#keys.operator}.key`);
    return this.#follow('v1 again', draft.id);
  }

  /** Notes when each member comes to its end; gives the last look. */
  async #follow(name: string, id: string): Promise<Progress> {
    const { client } = this.#server();
    const told = new Map<string, string>();
    const deadline = performance.now() + STEP_SECONDS * 1_000;
    for (;;) {
      const progress = progressAnswer.parse(await client.ask('rollouts', 'show', id));
      for (const member of progress.members) {
        if (told.get(member.name) === member.state) continue;
        told.set(member.name, member.state);
        this.#lab.view.note(
          `${this.#seconds().toFixed(0).padStart(5)} s  ${member.name}: ${member.state} (${member.reason})`,
        );
        if (member.state === 'succeeded' || member.state === 'failed')
          this.#step(name, member.name, this.#seconds(), `${member.state}: ${member.reason}`);
      }
      if (progress.rollout.state !== 'running') return progress;
      if (performance.now() > deadline)
        throw new Error(`${name}: rollout ${id} did not end: ${await this.#describe()}`);
      await sleep(LOOK_MILLISECONDS, undefined, { signal: this.#lab.signal });
    }
  }

  async #cutPowerOfLast(rollout: string): Promise<void> {
    const victim = this.#machines.at(-1);
    if (victim === undefined) return;
    const { client } = this.#server();
    const isWriting = async (): Promise<readonly unknown[]> => {
      const { id } = await client.showMachine(victim.mac);
      return this.#events.some(
        (event) =>
          event.kind === 'order-progress' &&
          event.machineId === id &&
          event.details.order === rollout &&
          event.details.phase === 'downloading',
      )
        ? this.#machines.map(() => undefined)
        : [];
    };
    await this.#until('the last machine writes its slot', isWriting);
    await victim.cutPower();
    this.#lab.view.note(`${victim.name}: power cut while it writes its slot`);
    this.#step('power cut', victim.name, this.#seconds(), 'QEMU killed while the slot was written');
    await sleep(2_000, undefined, { signal: this.#lab.signal });
    victim.powerOn();
  }

  /** The rollout halts, the canary is back on what it ran, and nobody else was touched. */
  async #expectHalt(name: string, before: string, image: string, tag: ContainerTag): Promise<void> {
    const boots = new Map((await this.#shown()).map(({ id, running }) => [id, running?.bootId]));
    const { rollout, members } = await this.#rollOut(name, tag);
    this.#check(`${name}: the rollout halts`, rollout.state === 'halted', `${rollout.state}: ${rollout.stateReason}`);
    const canary = members.find(({ state }) => state === 'failed');
    this.#check(`${name}: the canary failed`, canary !== undefined, canary?.reason ?? 'nobody failed');
    const shown = await this.#shown();
    const onBefore = shown.every(({ running }) => isGood(running, before));
    this.#check(`${name}: every machine runs the image of before`, onBefore, await this.#describe());
    const touched = shown.filter(({ id, running }) => boots.get(id) !== running?.bootId);
    this.#check(
      `${name}: nobody but the canary was touched`,
      touched.length <= 1,
      `${touched.length} machines restarted`,
    );
    const fell = this.#events.some((event) => event.kind === 'slot-fallback' && event.details.image === image);
    this.#check(`${name}: the canary says that it fell back`, fell, fell ? 'it did' : 'no such event');
    await this.#server().client.ask('rollouts', 'abort', rollout.id, '--note', 'a bad release');
  }

  async #expectEverywhere(name: string, digest: string, { rollout, members }: Progress): Promise<void> {
    const all = members.every(({ state }) => state === 'succeeded');
    this.#check(`${name}: the rollout is finished`, rollout.state === 'finished' && all, rollout.stateReason);
    const shown = await this.#shown();
    this.#check(
      `${name}: every machine runs it, proved healthy`,
      shown.length === this.#machines.length && shown.every(({ running }) => isGood(running, digest)),
      await this.#describe(),
    );
    const active = shown.filter(({ state }) => state === 'active');
    this.#check(`${name}: every machine is configured`, active.length === shown.length, await this.#describe());
  }

  /** Written once on the disk, and read at each boot from then on. */
  #checkData(name: string): void {
    for (const machine of this.#machines) {
      const said = [...machine.console.matchAll(/^lab-data ([0-9a-f-]{36})/gm)].map(([, value]) => value);
      const [, ...onDisk] = said;
      const kept = onDisk.length >= 2 && new Set(onDisk).size === 1;
      this.#check(`${name}: ${machine.name} kept its data`, kept, `${said.length} boots said ${said.join(', ')}`);
    }
  }

  async #until(what: string, look: () => Promise<readonly unknown[]>): Promise<boolean> {
    const deadline = performance.now() + STEP_SECONDS * 1_000;
    while (performance.now() < deadline) {
      if ((await look()).length >= this.#machines.length) return true;
      await sleep(LOOK_MILLISECONDS, undefined, { signal: this.#lab.signal });
    }
    this.#lab.view.note(`${what}: not within ${STEP_SECONDS} s`);
    return false;
  }

  async #shown(): Promise<readonly ShownMachine[]> {
    return this.#server().client.listMachines();
  }

  async #describe(): Promise<string> {
    const shown = await this.#shown();
    return shown
      .map(({ hostname, state, running }) => {
        const where =
          running === undefined
            ? 'nothing'
            : `${running.version ?? running.image.slice(7, 15)} from ${running.slot ?? running.source}`;
        return `${hostname ?? '?'} is ${state} and runs ${where}${running?.slotState === 'trial' ? ' on trial' : ''}`;
      })
      .join('; ');
  }

  #server(): MusterProcess {
    if (this.#muster === undefined) throw new Error('the server was not started');
    return this.#muster;
  }

  #check(claim: string, holds: boolean, found: string): void {
    this.#checks.push({ claim, holds, found });
    this.#lab.view.note(`${holds ? '✓' : '✗'} ${claim}${holds ? '' : `: ${found}`}`);
  }

  #step(step: string, machine: string, seconds: number, result: string): void {
    this.#steps.push({ step, machine, seconds, result });
  }

  #seconds(): number {
    return (performance.now() - this.#began) / 1_000;
  }

  /** The path without its ending. */
  #makeKey(name: string): string {
    const path = this.#lab.network.run.file(name);
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(`${path}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    writeFileSync(`${path}.pub`, publicKey.export({ type: 'spki', format: 'pem' }));
    return path;
  }
}

function isGood(running: ShownMachine['running'], digest: string): boolean {
  return running?.source === 'disk' && running.slotState === 'good' && running.image === digest;
}
