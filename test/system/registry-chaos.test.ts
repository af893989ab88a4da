// What the registry promises holds when the server is killed at any moment of push, conversion and garbage collection, and when
// many clients push and pull at the same time while garbage is collected. The real server, over TLS, on the loopback.
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bootManifestsOf, collectGarbage, untilConverted } from '../support/registry-admin.ts';
import { readDataFolder, readUnfinished } from '../support/registry-data-folder.ts';
import { auditImage, Ledger } from '../support/registry-ledger.ts';
import { LoadClient, UnexpectedAnswer, type PushMode } from '../support/registry-load-client.ts';
import { blobsOf, LoadImages, type LoadImage } from '../support/registry-load-images.ts';
import { RegistryServer, type ServerAccess } from '../support/registry-server.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const ROUNDS = Number(process.env.REGISTRY_CHAOS_ROUNDS ?? 12);
/** Gives the same choices again; what happens at the same time keeps its own order. */
const SEED = Number(process.env.REGISTRY_CHAOS_SEED ?? randomInt(1, 2 ** 32));
const CLIENTS = 32;
const LOAD_SECONDS = 20;
/** Some hundred images wait then, each for a process of its own. */
const BACKLOG_MILLISECONDS = 240_000;
/** Longer than any push here takes, so that no blob goes before the manifest that needs it is there. */
const GRACE_MILLISECONDS = 10_000;
/** The kill comes after so many acknowledgements at most, and a moment later. */
const LONGEST_LIFE_ACKNOWLEDGEMENTS = 100;
const LONGEST_LIFE_MILLISECONDS = 10_000;
const PUSH_MODES: readonly PushMode[] = ['one-request', 'post-put', 'chunked'];

const pick = <T>(random: SeededRandom, items: readonly T[]): T => {
  const item = items[random.below(items.length)];
  if (item === undefined) throw new Error('there is nothing to pick');
  return item;
};

interface Pusher {
  readonly client: LoadClient;
  readonly ledger: Ledger;
  readonly random: SeededRandom;
}

/** As container tools do: ask for each blob, push what is missing, then the manifest. */
async function pushImage(
  { client, ledger, random }: Pusher,
  { repository, tag, image }: { repository: string; tag: string; image: LoadImage },
  mountFrom?: string,
): Promise<void> {
  for (const content of blobsOf(image)) {
    const { digest } = content;
    if (await ledger.pushBlob(repository, content, () => client.hasBlob(repository, digest))) continue;
    const mount = () => client.mountBlob(repository, digest, mountFrom ?? '');
    if (mountFrom !== undefined && (await ledger.pushBlob(repository, content, mount))) continue;
    await ledger.pushBlob(repository, content, async () => {
      await client.pushBlob(repository, content, pick(random, PUSH_MODES), (location, offset) => {
        ledger.chunkReceived(location, { repository, content, offset });
      });
      return true;
    });
  }
  await ledger.changeTag(repository, tag, image, () => client.pushManifest(repository, tag, image.manifest));
}

describe('the registry when it is killed at any moment', () => {
  const WORKERS = 4;
  let dataDirectory: string;
  let server: RegistryServer;
  const spawned: RegistryServer[] = [];

  beforeEach(() => {
    dataDirectory = mkdtempSync(join(tmpdir(), 'muster-chaos-'));
  });
  afterEach(async () => {
    for (const each of spawned.splice(0)) await each.kill();
    rmSync(dataDirectory, { recursive: true });
  });

  const start = (): RegistryServer => {
    server = new RegistryServer(dataDirectory);
    spawned.push(server);
    return server;
  };

  it(
    `has every acknowledged blob and tag, serves nothing by half and leaves no temporary file, over ${ROUNDS} kills (REGISTRY_CHAOS_SEED=${SEED})`,
    { timeout: 60_000 + ROUNDS * 30_000 },
    async () => {
      const images = await LoadImages.create();
      const ledger = new Ledger();
      const boots = new Map<string, string>();
      const random = new SeededRandom(SEED);
      const hits = { uploads: 0, puts: 0, conversions: 0, collections: 0, starts: 0 };
      // Boot loaders lie there too.
      const before = await blobsOfNewServer();
      for (let round = 1; round <= ROUNDS; round += 1) {
        const { killedAt, isCollecting } = await liveAndDie(await start().access(), { images, ledger, random });
        const unfinished = readUnfinished(dataDirectory);
        for (const name of ['uploads', 'puts', 'conversions'] as const) hits[name] += unfinished[name] ? 1 : 0;
        hits.collections += isCollecting ? 1 : 0;
        // Recovery itself may be interrupted.
        if (random.below(4) === 0) {
          hits.starts += 1;
          start();
          await sleep(random.below(1_500));
          await server.kill();
        }
        const access = await start().access();
        const client = new LoadClient(access, '127.0.0.1');
        const broken = [
          ...(await ledger.audit(client, killedAt - GRACE_MILLISECONDS)),
          ...(await auditBoots(client, ledger, boots)),
          ...readDataFolder(dataDirectory).broken,
          ...spawned.flatMap(({ errors }) => errors),
        ];
        expect(broken, `round ${round} of seed ${SEED}`).toEqual([]);
        await client.close();
        await server.stop();
        spawned.length = 0;
      }
      const done = JSON.stringify({ acknowledged: ledger.counts, converted: boots.size });
      console.log(`${ROUNDS} kills, seed ${SEED}: ${done}; in the middle of ${JSON.stringify(hits)}`);
      await deleteAll(ledger);
      expect([...readDataFolder(dataDirectory).blobs].sort()).toEqual(before);
    },
  );

  /** Clients at work until the server is killed under them; answers when that was. */
  async function liveAndDie(
    access: ServerAccess,
    { images, ledger, random }: { images: LoadImages; ledger: Ledger; random: SeededRandom },
  ): Promise<{ killedAt: number; isCollecting: boolean }> {
    const clients = Array.from({ length: WORKERS + 1 }, (_, index) => new LoadClient(access, `127.0.1.${index + 1}`));
    const killed = { at: 0 };
    let isCollecting = false;
    const untilKilled = async (work: () => Promise<void>): Promise<void> => {
      try {
        for (;;) await work();
      } catch (error) {
        // A connection that breaks is what the kill does to it.
        if (killed.at === 0 || error instanceof UnexpectedAnswer) throw error;
      }
    };
    const work = clients.map((client, index) => {
      const own = random.fork();
      return untilKilled(async () => {
        if (index === WORKERS) {
          isCollecting = true;
          await collectGarbage(client, GRACE_MILLISECONDS);
          isCollecting = false;
          await sleep(own.below(300));
          if (killed.at > 0) throw new Error('the server is gone');
          return;
        }
        const repository = `chaos/r${index % 2}`;
        const tag = `w${index}-t${own.below(3)}`;
        if (ledger.imageOf(repository, tag) !== undefined && own.below(6) === 0) {
          await ledger.changeTag(repository, tag, undefined, () => client.delete(repository, tag));
          return;
        }
        const image = await images.next(own, { bootable: own.below(8) === 0 });
        await pushImage(
          { client, ledger, random: own },
          { repository, tag, image },
          own.below(2) === 0 ? `chaos/r${(index + 1) % 2}` : undefined,
        );
      });
    });
    const ended = Promise.all(work);
    await Promise.race([ended, momentOfDeath(ledger, random)]);
    killed.at = Date.now();
    await server.kill();
    await ended;
    for (const client of clients) await client.close();
    return { killedAt: killed.at, isCollecting };
  }

  /** Counted in work rather than time, so that a busy computer gives the same moments. */
  async function momentOfDeath(ledger: Ledger, random: SeededRandom): Promise<void> {
    const deadline = Date.now() + LONGEST_LIFE_MILLISECONDS;
    const total = ledger.total + random.below(LONGEST_LIFE_ACKNOWLEDGEMENTS);
    while (ledger.total < total && Date.now() < deadline) await sleep(1);
    await sleep(random.below(20));
  }

  /** Each image that can be booted is converted, always to the same boot manifest, and all of that is whole. */
  async function auditBoots(
    client: LoadClient,
    ledger: Ledger,
    boots: Map<string, string>,
  ): Promise<readonly string[]> {
    await ledger.pushAgain((repository, tag, { manifest }) => client.pushManifest(repository, tag, manifest));
    const broken = [...(await untilConverted(client))];
    const bootable = ledger.images.filter(({ image }) => image.bootable);
    for (const { repository, image } of bootable) {
      const { digest } = image.manifest;
      const found = await bootManifestsOf(client, repository, digest);
      const [boot] = found;
      const known = boots.get(digest) ?? boot;
      if (boot === undefined || boot !== known || found.length > 1) {
        broken.push(`${digest} has the boot manifests ${found.join(', ') || 'none'}, not ${known ?? 'one'}`);
      } else boots.set(digest, boot);
      for (const each of found) {
        const manifest = await client.pullManifest(repository, each);
        if (manifest === undefined) broken.push(`${each} is a referrer and cannot be pulled`);
        else await client.pullContents(repository, manifest);
      }
    }
    return broken;
  }

  async function blobsOfNewServer(): Promise<readonly string[]> {
    await start().access();
    await server.stop();
    return [...readDataFolder(dataDirectory).blobs].sort();
  }

  async function deleteAll(ledger: Ledger): Promise<void> {
    const client = new LoadClient(await start().access(), '127.0.0.1');
    for (const { repository, tag } of ledger.images) await client.delete(repository, tag);
    await collectGarbage(client, 0);
    await client.close();
  }
});

describe('an image that comes back', () => {
  it('is converted again when it was deleted, collected and pushed once more', { timeout: 60_000 }, async () => {
    const dataDirectory = mkdtempSync(join(tmpdir(), 'muster-again-'));
    const server = new RegistryServer(dataDirectory);
    try {
      const client = new LoadClient(await server.access(), '127.0.0.1');
      const random = new SeededRandom(SEED);
      const image = await (await LoadImages.create()).next(random, { bootable: true });
      const ledger = new Ledger();
      const made: (readonly string[])[] = [];
      for (let time = 1; time <= 2; time += 1) {
        await pushImage({ client, ledger, random }, { repository: 'again/os', tag: '1', image });
        expect(await untilConverted(client)).toEqual([]);
        made.push(await bootManifestsOf(client, 'again/os', image.manifest.digest));
        await client.delete('again/os', '1');
        await collectGarbage(client, 0);
      }
      expect(made[0]).toHaveLength(1);
      expect(made[1]).toEqual(made[0]);
      await client.close();
    } finally {
      await server.kill();
      rmSync(dataDirectory, { recursive: true });
    }
  });
});

describe(`the registry with ${CLIENTS} clients and garbage collection`, () => {
  let dataDirectory: string;
  let server: RegistryServer;

  beforeEach(() => {
    dataDirectory = mkdtempSync(join(tmpdir(), 'muster-load-'));
    server = new RegistryServer(dataDirectory);
  });
  afterEach(async () => {
    await server.kill();
    rmSync(dataDirectory, { recursive: true });
  });

  it('answers every push and pull without an error, and loses no blob', { timeout: 360_000 }, async () => {
    const access = await server.access();
    const images = await LoadImages.create();
    const ledger = new Ledger();
    const admin = new LoadClient(access, '127.0.0.1');
    const clients = Array.from({ length: CLIENTS }, (_, index) => new LoadClient(access, `127.0.2.${index + 1}`));
    const tally = { pushed: 0, pulled: 0, pulledBytes: 0, collections: 0 };
    const deadline = Date.now() + LOAD_SECONDS * 1_000;
    const whileTime = async (work: () => Promise<void>): Promise<void> => {
      while (Date.now() < deadline) await work();
    };
    const random = new SeededRandom(SEED);
    const pushing = clients.map((client, index) => {
      const own = random.fork();
      return whileTime(async () => {
        const repository = `load/r${index % 4}`;
        const image = await images.next(own, { bootable: own.below(40) === 0 });
        const mountFrom = own.below(2) === 0 ? `load/r${own.below(4)}` : undefined;
        await pushImage({ client, ledger, random: own }, { repository, tag: `t${index}`, image }, mountFrom);
        tally.pushed += 1;
        const other = pick(own, ledger.images);
        tally.pulledBytes += await pullImage(client, other.repository, other.tag);
        tally.pulled += 1;
      });
    });
    const collecting = whileTime(async () => {
      await collectGarbage(admin, GRACE_MILLISECONDS);
      tally.collections += 1;
      await sleep(300);
    });
    await Promise.all([...pushing, collecting]);
    console.log(`${LOAD_SECONDS} s with ${CLIENTS} clients: ${JSON.stringify(tally)}`);

    const audits = ledger.images.map(({ repository, image }, index) =>
      auditImage(clients[index] ?? admin, repository, image),
    );
    const lost = (await Promise.all(audits)).flat();
    expect(lost).toEqual([]);
    expect(ledger.images).toHaveLength(CLIENTS);
    expect(await untilConverted(admin, BACKLOG_MILLISECONDS)).toEqual([]);
    await collectGarbage(admin, 0);
    const needed = ledger.images.flatMap(({ image }) => [image.manifest, ...blobsOf(image)]);
    const { blobs, broken } = readDataFolder(dataDirectory);
    expect(needed.filter(({ digest }) => !blobs.has(digest))).toEqual([]);
    expect([...broken, ...server.errors]).toEqual([]);
    for (const client of [admin, ...clients]) await client.close();
  });

  /** By tag, as container tools do; every digest is checked. Bytes of the blobs. */
  async function pullImage(client: LoadClient, repository: string, tag: string): Promise<number> {
    const manifest = await client.pullManifest(repository, tag);
    if (manifest === undefined) throw new UnexpectedAnswer(`${repository}:${tag} is gone`);
    return client.pullContents(repository, manifest);
  }
});
