// What the registry acknowledged is there after the process was killed at any moment (SIGKILL: nothing of it may clean up).
// MUSTER_CRASH_ROUNDS=200 kills it more often.
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestParts } from '../../src/images/digest.ts';
import { digestOf } from '../support/oci-layout.ts';
import { aFileRegistry, streamOf, type RegistryWorld } from '../support/registry-world.ts';
import { crashBlob, crashImage, CRASH_REPOSITORIES } from './registry-crash-content.ts';

const ROUNDS = Number(process.env.MUSTER_CRASH_ROUNDS ?? 40);
const WRITER = fileURLToPath(new URL('./registry-crash-writer.ts', import.meta.url));
const HOUR_MS = 3_600_000;
const MOST_STEPS = 80;

/** Tags are looked at after so many kills, then deleted: else the last rounds would only read what the first ones pushed. */
const KEPT_ROUNDS = 10;

/** What was acknowledged, over all rounds but for blobs and uploads, which are of the last. */
interface Expected {
  /** `repository name` of each tag. */
  readonly tags: Set<string>;
  readonly untagged: Set<string>;
  readonly blobs: Set<string>;
  readonly uploads: Map<string, { readonly name: string; readonly offset: number }>;
}

/**
 * Runs the writer, kills it some 20 ms after one of its first acknowledged steps, whichever chance says (a time alone would hit
 * nothing but the first step on a busy machine), and gives the lines it had acknowledged.
 */
async function pushUntilKilled(folder: string, round: number, graceMs: number): Promise<string[]> {
  const writer = spawn(process.execPath, [WRITER, folder, String(round), String(graceMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const steps = Math.random() * MOST_STEPS;
  const output = new Promise<string>((resolve) => {
    let said = '';
    writer.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.split('\n').length > steps) setTimeout(() => writer.kill('SIGKILL'), Math.random() * 40);
    });
    writer.on('close', (_code, signal) => {
      expect(signal).toBe('SIGKILL');
      resolve(said);
    });
  });
  // A line without its end was cut off by the kill.
  return (await output).split('\n').slice(0, -1);
}

describe('the registry after SIGKILL', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-registry-crash-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it(`has all that was acknowledged and nothing by half, ${ROUNDS} times`, { timeout: ROUNDS * 20_000 }, async () => {
    const expected: Expected = { tags: new Set(), untagged: new Set(), blobs: new Set(), uploads: new Map() };
    for (let round = 1; round <= ROUNDS; round += 1) {
      // With a short grace there is much to collect; with a long one each blob must stay, named or not.
      const graceMs = round % 2 === 0 ? HOUR_MS : 20;
      expected.blobs.clear();
      expected.uploads.clear();
      for (const line of await pushUntilKilled(folder, round, graceMs)) note(line, expected);
      if (graceMs < HOUR_MS) expected.blobs.clear();
      const world = await aFileRegistry(folder);
      try {
        await expectNoLeftovers(join(folder, 'blobs'));
        await expectWholeFiles(world);
        await expectAcknowledged(world, expected);
        await expectTagsComplete(world);
        await expectUploadsGoOn(world, expected);
        await retire(world, expected, round - KEPT_ROUNDS);
      } finally {
        await world.close();
      }
    }
    expect(expected.tags.size).toBeGreaterThan(0);
    expect(expected.untagged.size).toBeGreaterThan(0);
  });
});

function note(line: string, { tags, untagged, blobs, uploads }: Expected): void {
  const [kind, ...words] = line.split(' ');
  const [first = '', name = '', offset = ''] = words;
  switch (kind) {
    case 'blob':
      blobs.add(words.join(' '));
      break;
    case 'tag':
      tags.add(words.join(' '));
      break;
    case 'untagging':
      tags.delete(words.join(' '));
      blobs.delete(words.join(' '));
      break;
    case 'untagged':
      untagged.add(words.join(' '));
      break;
    case 'upload':
      uploads.set(first, { name, offset: Number(offset) });
      break;
    case 'finishing':
      uploads.delete(first);
      break;
    default:
      throw new Error(`the writer said ${line}`);
  }
}

async function expectNoLeftovers(folder: string): Promise<void> {
  expect(await readdir(join(folder, 'tmp'))).toEqual([]);
  const uploads = await readdir(join(folder, 'uploads'));
  const states = uploads.filter((name) => name.endsWith('.json'));
  const parts = uploads.filter((name) => name.endsWith('.part'));
  expect(states.length + parts.length).toBe(uploads.length);
  expect(parts.filter((part) => !states.includes(part.replace('.part', '.json')))).toEqual([]);
}

/** Every file that has the name of a digest has that digest. */
async function expectWholeFiles({ blobs }: RegistryWorld): Promise<void> {
  for await (const { digest } of blobs.list()) {
    expect(digestOf(await buffer(blobs.read(digest)), digestParts(digest).algorithm)).toBe(digest);
  }
}

async function expectAcknowledged({ registry }: RegistryWorld, { tags, untagged, blobs }: Expected): Promise<void> {
  for (const [repository, name] of pairs(tags)) {
    const { manifest } = crashImage(name);
    expect(await registry.getManifest(repository, name)).toMatchObject({ kind: 'found', bytes: manifest.bytes });
  }
  for (const [repository, name] of pairs(untagged)) {
    expect(await registry.headManifest(repository, name)).toMatchObject({ kind: 'refused' });
  }
  for (const [repository, name] of pairs(blobs)) {
    for (const { digest } of crashImage(name).blobs) {
      expect(await registry.getBlob(repository, digest)).toMatchObject({ kind: 'found' });
    }
  }
}

/** Acknowledged or not: what has a tag can be pulled. */
async function expectTagsComplete({ registry }: RegistryWorld): Promise<void> {
  for (const repository of CRASH_REPOSITORIES) {
    const page = await registry.listTags(repository, {});
    for (const tag of page.kind === 'page' ? page.items : []) {
      const found = await registry.getManifest(repository, tag);
      if (found.kind === 'refused') throw new Error(`${repository}:${tag}: ${found.message}`);
      for (const digest of found.record.references) {
        expect(await registry.getBlob(repository, digest)).toMatchObject({ kind: 'found' });
      }
    }
  }
}

async function expectUploadsGoOn({ registry, uploads }: RegistryWorld, expected: Expected): Promise<void> {
  const [repository] = CRASH_REPOSITORIES;
  for (const [id, { name, offset }] of expected.uploads) {
    const status = await registry.uploadStatus(repository, id);
    if (status.kind === 'refused') throw new Error(status.message);
    // The chunk after the last acknowledged one may have been whole when the kill came.
    expect(status.offset).toBeGreaterThanOrEqual(offset);
    const { bytes, digest } = crashBlob(name);
    const content = streamOf(bytes.subarray(status.offset));
    const range = status.offset < bytes.length ? { start: status.offset, end: bytes.length - 1 } : undefined;
    const end = { repository, id, digest, content, ...(range && { range }) };
    expect(await registry.finishUpload(end)).toMatchObject({ kind: 'stored', sizeBytes: bytes.length });
  }
  await uploads.removeStale(Infinity);
}

async function retire({ registry }: RegistryWorld, { tags, untagged }: Expected, before: number): Promise<void> {
  for (const [repository, name] of pairs(tags)) {
    if (Number(name.split('-')[0]) >= before) continue;
    await registry.deleteManifest(repository, name);
    tags.delete(`${repository} ${name}`);
    untagged.add(`${repository} ${name}`);
  }
}

function pairs(lines: ReadonlySet<string>): readonly [string, string][] {
  return [...lines].map((line) => {
    const [repository = '', name = ''] = line.split(' ');
    return [repository, name];
  });
}
