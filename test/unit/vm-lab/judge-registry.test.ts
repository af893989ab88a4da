import { describe, expect, it } from 'vitest';
import type { ContainerImage, Descriptor } from '../../../vm-lab/container-image.ts';
import {
  judgeBootedImage,
  judgeFirstPush,
  judgePullBack,
  judgeSecondPush,
  type BootedMachine,
  type PushEvidence,
  type ServedRequest,
} from '../../../vm-lab/judge-registry.ts';
import { readCopyLog } from '../../../vm-lab/skopeo.ts';
import { anEvent } from './lab-builders.ts';

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
const part = (letter: string, size: number): Descriptor => ({ mediaType: 'x', digest: digest(letter), size });
const anImage = (letter: string, ...layers: readonly Descriptor[]): ContainerImage => ({
  layout: '/layout',
  manifest: part(letter, 500),
  config: part(letter === 'a' ? 'c' : 'd', 400),
  layers,
});

const BASE = part('1', 100_000_000);
const AGENT = part('2', 10_000);
const NEW = part('3', 100);
const first = anImage('a', BASE, AGENT);
const second = anImage('b', BASE, AGENT, NEW);

const uploads = (count: number): ServedRequest[] =>
  Array.from({ length: count }, () => [
    { method: 'POST', path: '/v2/fleet/os/blobs/uploads/', status: 202 },
    { method: 'PATCH', path: '/v2/fleet/os/blobs/uploads/6f80a763', status: 202 },
    { method: 'PUT', path: '/v2/fleet/os/blobs/uploads/6f80a763', status: 201 },
  ]).flat();

const aSecondPush = (change: Partial<PushEvidence> = {}): PushEvidence => ({
  image: second,
  report: { uploaded: [NEW.digest, second.config.digest], skipped: [BASE.digest, AGENT.digest], seconds: 1 },
  wireBytes: 20_000,
  requests: uploads(2),
  ...change,
});

const broken = (evidence: PushEvidence): string[] =>
  judgeSecondPush(first, evidence)
    .filter(({ holds }) => !holds)
    .map(({ claim }) => claim);

describe('judgeSecondPush', () => {
  it('is content when only the new layer and the new config went to the server', () => {
    expect(broken(aSecondPush())).toEqual([]);
  });

  it('believes the wire, not the client: bytes that nobody owned up to are a broken claim', () => {
    expect(broken(aSecondPush({ wireBytes: 100_010_000 }))).toEqual(['no shared layer went over the wire']);
  });

  it('sees a client that uploaded what was there', () => {
    const report = { uploaded: [BASE.digest, NEW.digest, second.config.digest], skipped: [AGENT.digest], seconds: 1 };
    expect(broken(aSecondPush({ report }))).toEqual([
      'skopeo found every shared layer in the registry and uploaded the rest',
    ]);
  });

  it('sees more uploads than new blobs in the log of the server', () => {
    expect(broken(aSecondPush({ requests: uploads(3) }))).toEqual(['the server took in no blob but the new ones']);
  });

  it('proves nothing with an image that shares no layer', () => {
    expect(broken(aSecondPush({ image: anImage('b', NEW) }))).toContain(
      'the second tag shares layers with the first and has one of its own',
    );
  });
});

describe('the other claims', () => {
  it('takes a first push for whole when all of its bytes were on the wire', () => {
    const push = { image: first, report: { uploaded: [], skipped: [], seconds: 1 }, requests: [] };
    expect(judgeFirstPush({ ...push, wireBytes: 100_020_000 }).holds).toBe(true);
    expect(judgeFirstPush({ ...push, wireBytes: 20_000 }).holds).toBe(false);
  });

  it('wants every root file system from the pushed manifest, and one at least', () => {
    const served = (image: string) =>
      anEvent({ kind: 'squashfs-served', details: { image, sizeBytes: 1, durationMs: 1 } });
    const image = `fleet/os@${first.manifest.digest}`;
    const judge = (machine: BootedMachine) => judgeBootedImage(machine, 'fleet/os', first).holds;
    expect(judge({ events: [served(image.slice(0, 28))], image })).toBe(true);
    expect(judge({ events: [served(image), served('fleet/os:1')], image })).toBe(false);
    expect(judge({ events: [served(image)], image: 'fleet/os:1' })).toBe(false);
    expect(judge({ events: [], image })).toBe(false);
  });

  it('names what came back differently', () => {
    expect(judgePullBack('fleet/os:1', first, [])).toMatchObject({ holds: true });
    expect(judgePullBack('fleet/os:1', first, [BASE.digest])).toMatchObject({ holds: false, found: BASE.digest });
  });
});

describe('readCopyLog', () => {
  it('tells from the debug log of skopeo 1.9 what was uploaded and what the registry had', () => {
    const text = [
      `Copying blob ${BASE.digest}`,
      'time="2026-11-22T22:35:12Z" level=debug msg="... already exists"',
      `time="2026-11-22T22:35:12Z" level=debug msg="Skipping blob ${BASE.digest} (already present):"`,
      `Copying blob ${NEW.digest}`,
      'time="2026-11-22T22:35:12Z" level=debug msg="Uploading /v2/fleet/os/blobs/uploads/"',
      `time="2026-11-22T22:35:12Z" level=debug msg="Upload of layer ${NEW.digest} complete"`,
      `time="2026-11-22T22:35:13Z" level=debug msg="Upload of layer ${second.config.digest} complete"`,
    ].join('\n');
    expect(readCopyLog(text)).toEqual({ uploaded: [NEW.digest, second.config.digest], skipped: [BASE.digest] });
  });
});
