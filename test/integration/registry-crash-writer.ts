// Child of registry-crash.test.ts: pushes, moves and deletes without end while garbage is collected, and names on stdout each step
// that was acknowledged, until it is killed.
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { aFileRegistry, pushBlobs, pushManifest, streamOf } from '../support/registry-world.ts';
import { crashBlob, crashImage, CRASH_REPOSITORIES } from './registry-crash-content.ts';

const CLIENTS = 4;
const CHUNK_BYTES = 30_000;

const [folder = '', round = '', graceMs = ''] = process.argv.slice(2);
const { registry } = await aFileRegistry(folder);

await Promise.all([
  ...Array.from({ length: CLIENTS }, (_, client) => pushImages(`${round}-${client}`)),
  pushChunks(),
  collect(),
]);

async function pushImages(client: string): Promise<void> {
  for (let number = 0; ; number += 1) {
    const name = `${client}-${number}`;
    const repository = CRASH_REPOSITORIES[number % CRASH_REPOSITORIES.length]!;
    const { blobs, manifest } = crashImage(name);
    for (const blob of blobs) {
      const started = await registry.startUpload({ repository, mount: blob.digest });
      if (started.kind === 'started') await pushBlobs(registry, repository, blob);
      if (started.kind === 'started') await registry.cancelUpload(repository, started.id);
    }
    acknowledge(`blob ${repository} ${name}`);
    const stored = await pushManifest(registry, repository, name, manifest);
    // Collected before its manifest came: the next one, then.
    if (stored.kind === 'refused') continue;
    acknowledge(`tag ${repository} ${name}`);
    if (number < CRASH_REPOSITORIES.length) continue;
    const old = `${client}-${number - CRASH_REPOSITORIES.length}`;
    acknowledge(`untagging ${repository} ${old}`);
    await registry.deleteManifest(repository, old);
    acknowledge(`untagged ${repository} ${old}`);
  }
}

async function pushChunks(): Promise<void> {
  for (let number = 0; ; number += 1) {
    const name = `chunks-${round}-${number}`;
    const { bytes, digest } = crashBlob(name);
    const [repository] = CRASH_REPOSITORIES;
    const started = await registry.startUpload({ repository });
    if (started.kind !== 'started') throw new Error(started.kind);
    acknowledge(`upload ${started.id} ${name} 0`);
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      const content = streamOf(bytes.subarray(at, at + CHUNK_BYTES));
      const appended = await registry.appendUpload({ repository, id: started.id, content });
      if (appended.kind !== 'appended') throw new Error(appended.kind);
      acknowledge(`upload ${started.id} ${name} ${appended.offset}`);
    }
    acknowledge(`finishing ${started.id}`);
    const stored = await registry.finishUpload({ repository, id: started.id, digest });
    if (stored.kind !== 'stored') throw new Error(stored.kind);
  }
}

async function collect(): Promise<void> {
  for (;;) {
    await registry.collectGarbage({ graceMs: Number(graceMs) });
    await sleep(2);
  }
}

/** Synchronous: what a SIGKILL finds unsent was never acknowledged. */
function acknowledge(line: string): void {
  writeSync(1, `${line}\n`);
}
