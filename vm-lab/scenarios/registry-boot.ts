// A container image comes into Muster's registry by skopeo, a machine boots from it, it comes out again byte for byte, and a
// second tag that shares its layers sends only what is new.
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { blobPath, readContainerImage, type ContainerImage, type ContainerTag } from '../container-image.ts';
import type { Check } from '../judge-machine.ts';
import {
  judgeBootedImage,
  judgeFirstPush,
  judgePullBack,
  judgeSecondPush,
  type PushEvidence,
} from '../judge-registry.ts';
import type { MusterProcess } from '../muster-process.ts';
import type { FirmwareKind } from '../qemu-arguments.ts';
import { Skopeo } from '../skopeo.ts';
import { joinFleet } from './join-fleet.ts';
import type { Lab, ScenarioOutcome } from './scenario.ts';

const REPOSITORY = 'fleet/os';
const CONVERSION_SECONDS = 10 * 60;
const LOOK_MILLISECONDS = 500;

export interface RegistryBootOptions {
  readonly firmware: FirmwareKind;
  /** An OCI layout with the tags `1` and `2`, see container-image.ts. */
  readonly layout: string;
}

export async function registryBoot(lab: Lab, { firmware, layout }: RegistryBootOptions): Promise<ScenarioOutcome> {
  const firstImage = await readContainerImage(layout, '1');
  const secondImage = await readContainerImage(layout, '2');
  const checks: Check[] = [];
  const outcome = await joinFleet(lab, {
    firmwares: [firmware],
    image: {
      reference: `${REPOSITORY}:1`,
      deliver: async (muster) => {
        checks.push(judgeFirstPush(await pushImage(lab, muster, '1', firstImage)));
        await untilReady(lab, muster, firstImage);
      },
    },
  });
  const { muster } = outcome;
  for (const { machine, progress } of outcome.machines) {
    const shown = await muster.client.showMachine(machine.mac).catch(() => undefined);
    checks.push(judgeBootedImage({ events: progress.events, image: shown?.image }, REPOSITORY, firstImage));
  }
  checks.push(await pullBack(lab, muster, '1', firstImage));
  checks.push(...judgeSecondPush(firstImage, await pushImage(lab, muster, '2', secondImage)));
  checks.push(await pullBack(lab, muster, '2', secondImage));
  return { ...outcome, checks: [...outcome.checks, ...checks] };
}

async function pushImage(
  lab: Lab,
  muster: MusterProcess,
  tag: ContainerTag,
  image: ContainerImage,
): Promise<PushEvidence> {
  const before = countWireBytes(lab);
  const logBefore = muster.requests.length;
  const report = await skopeoOf(lab, muster).push(image.layout, tag, `${REPOSITORY}:${tag}`);
  const wireBytes = countWireBytes(lab) - before;
  lab.view.note(`skopeo pushed ${REPOSITORY}:${tag} in ${report.seconds.toFixed(1)} s, ${wireBytes} bytes on the wire`);
  return { image, report, wireBytes, requests: muster.requests.slice(logBefore) };
}

async function untilReady(lab: Lab, muster: MusterProcess, { manifest }: ContainerImage): Promise<void> {
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1_000;
  let said = '';
  while (seconds() < CONVERSION_SECONDS) {
    const images = await muster.client.listImages();
    const found = images.find(({ name, digest }) => name === REPOSITORY && digest === manifest.digest);
    if (found?.state === 'ready') {
      lab.view.note(`the image is ready to boot after ${seconds().toFixed(1)} s`);
      return;
    }
    if (found?.refusal !== undefined) {
      throw new Error(`Muster refused the image: ${found.refusal.code}: ${found.refusal.detail}`);
    }
    if (found !== undefined && found.state !== said) lab.view.note(`the image is ${found.state}`);
    said = found?.state ?? said;
    await sleep(LOOK_MILLISECONDS, undefined, { signal: lab.signal });
  }
  throw new Error(`the image was not ready to boot within ${CONVERSION_SECONDS} s, it is ${said || 'not known'}`);
}

async function pullBack(lab: Lab, muster: MusterProcess, tag: ContainerTag, image: ContainerImage): Promise<Check> {
  const layout = lab.network.run.file(`pulled-${tag}`);
  const { seconds } = await skopeoOf(lab, muster).pull(`${REPOSITORY}:${tag}`, layout, tag);
  const pulled = await readContainerImage(layout, tag);
  lab.view.note(`skopeo pulled ${REPOSITORY}:${tag} in ${seconds.toFixed(1)} s`);
  const blobs = [image.manifest, image.config, ...image.layers];
  const differences = [
    ...(pulled.manifest.digest === image.manifest.digest ? [] : [`another manifest, ${pulled.manifest.digest}`]),
    ...blobs
      .filter((blob) => !isSameFile(blobPath(image.layout, blob), blobPath(layout, blob)))
      .map(({ digest }) => digest),
  ];
  return judgePullBack(`${REPOSITORY}:${tag}`, image, differences);
}

function skopeoOf(lab: Lab, muster: MusterProcess): Skopeo {
  return new Skopeo(lab.network, muster.dataDirectory, lab.signal);
}

function isSameFile(one: string, other: string): boolean {
  return spawnSync('cmp', ['--silent', one, other]).status === 0;
}

/** skopeo and the server talk by the loopback of their namespace, which nobody else uses meanwhile. */
function countWireBytes(lab: Lab): number {
  const [program, ...words] = lab.network.enter('srv');
  const text = spawnSync(program, [...words, 'cat', '/proc/net/dev'], { encoding: 'utf8' }).stdout;
  const [, bytes] = /^\s*lo:\s*(\d+)/m.exec(text) ?? [];
  if (bytes === undefined) throw new Error(`no loopback in the server's namespace: ${text}`);
  return Number(bytes);
}
