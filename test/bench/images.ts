// From a container image to a squashfs: Muster beside the pipeline of the usual tools. The image has files of this machine's
// /usr, as many as are asked for, so that it compresses as images do.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { aDracutInitrd } from '../support/initrd-builders.ts';
import { untilConverted } from '../support/registry-admin.ts';
import { LoadClient } from '../support/registry-load-client.ts';
import { RegistryServer } from '../support/registry-server.ts';
import { watchMemory } from './process-memory.ts';
import { median, type BenchResult } from './subject.ts';

const MEBIBYTE = 1024 * 1024;
const ROUNDS = 3;
const TOOLS = ['skopeo', 'umoci', 'mksquashfs', 'tar'];
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';

const PIPELINE = `rm -rf copy bundle peers.squashfs
skopeo copy --quiet oci:layout:bench oci:copy:bench
umoci unpack --image copy:bench bundle
mksquashfs bundle/rootfs peers.squashfs -comp zstd -Xcompression-level 3 -quiet -no-progress -noappend
rm -rf copy bundle peers.squashfs`;

/** To a server whose address and token the environment has. */
const PUSH = `skopeo copy --quiet --dest-tls-verify=false --dest-creds "bench:$TOKEN" oci:layout:bench "docker://$SERVER/bench/os:1"`;
const CONVERSION_MILLISECONDS = 30 * 60_000;

interface Sample {
  readonly seconds: number;
  readonly peakMebibytes: number;
}

interface Stored {
  readonly digest: string;
  readonly size: number;
}

/** MUSTER_BENCH_IMAGE_MB sets the size: 2048 is that of the figures in the documentation. */
export async function benchImages(): Promise<BenchResult> {
  const mebibytes = Number(process.env.MUSTER_BENCH_IMAGE_MB ?? '256');
  const title = `Container image of ${mebibytes} MiB to squashfs (zstd 3)`;
  const missing = (await Promise.all(TOOLS.map(isMissing))).flat();
  if (missing.length > 0) return { kind: 'skipped', title, reason: `${missing.join(', ')} not installed` };
  const folder = await mkdtemp(path.join(tmpdir(), 'muster-bench-'));
  try {
    const layout = await buildLayout(folder, mebibytes);
    const script = fileURLToPath(new URL('image-conversion-process.ts', import.meta.url));
    const samples: Record<'peers' | 'muster' | 'server', Sample[]> = { peers: [], muster: [], server: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      samples.peers.push(await run('sh', ['-ec', PIPELINE], folder));
      samples.muster.push(await run(process.execPath, [script, layout], folder));
      samples.server.push(await measureServer(folder));
    }
    return table(title, mebibytes, {
      peers: summary(samples.peers),
      muster: summary(samples.muster),
      server: summary(samples.server),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** All that a person would start: from the push by skopeo until machines can boot the image. */
async function measureServer(folder: string): Promise<Sample> {
  const server = new RegistryServer(await mkdtemp(path.join(folder, 'data-')));
  try {
    const access = await server.access();
    const client = new LoadClient(access, '127.0.0.1');
    const memory = watchMemory(server.pid);
    const began = performance.now();
    await run('sh', ['-ec', PUSH], folder, { SERVER: new URL(access.url).host, TOKEN: access.token });
    const faults = await untilConverted(client, CONVERSION_MILLISECONDS);
    const seconds = (performance.now() - began) / 1000;
    if (faults.length > 0) throw new Error(faults.join('\n'));
    await client.close();
    return { seconds, peakMebibytes: memory.end() };
  } finally {
    await server.stop();
    await rm(server.dataDirectory, { recursive: true });
  }
}

function table(
  title: string,
  mebibytes: number,
  { peers, muster, server }: Readonly<Record<'peers' | 'muster' | 'server', Sample>>,
): BenchResult {
  const row = (name: string, { seconds, peakMebibytes }: Sample): readonly string[] => [
    name,
    seconds.toFixed(1),
    (mebibytes / seconds).toFixed(0),
    peakMebibytes.toFixed(0),
    `${(peers.seconds / seconds).toFixed(2)}×`,
  ];
  return {
    kind: 'table',
    title,
    columns: ['', 's', 'MiB/s', 'peak MiB', 'speed'],
    rows: [
      row('skopeo | umoci unpack | mksquashfs', peers),
      row('muster, conversion alone', muster),
      row('muster serve, pushed to', server),
    ],
    notes: [
      `Median of ${ROUNDS} rounds in turn. Peak: the most memory of the process and its children together, shared pages once (PSS).`,
      'Muster’s time includes its start, the push into its store, digests, and finding kernel and initrd.',
      'The server’s is that of skopeo’s push over TLS, whose memory is not counted, and of all until machines can boot the image.',
    ],
  };
}

function summary(samples: readonly Sample[]): Sample {
  return {
    seconds: median(samples.map(({ seconds }) => seconds)),
    peakMebibytes: Math.max(...samples.map(({ peakMebibytes }) => peakMebibytes)),
  };
}

async function buildLayout(folder: string, mebibytes: number): Promise<string> {
  const layout = path.join(folder, 'layout');
  const blobs = path.join(layout, 'blobs/sha256');
  const boot = path.join(folder, 'root/boot');
  await mkdir(blobs, { recursive: true });
  await mkdir(boot, { recursive: true });
  await writeFile(path.join(boot, 'vmlinuz-6.1'), Buffer.alloc(8 * MEBIBYTE, 'kernel'));
  await writeFile(path.join(boot, 'initrd.img-6.1'), aDracutInitrd());
  const put = async (document: object): Promise<Stored> => {
    const file = path.join(folder, 'document');
    await writeFile(file, JSON.stringify(document));
    return store(file, blobs);
  };
  const layers = [];
  const diffIds: string[] = [];
  for (const words of ['-C root boot', `--files-from ${await someFiles(folder, mebibytes)}`]) {
    const tar = path.join(folder, 'layer.tar');
    await run('sh', ['-c', `tar --format=posix -cf layer.tar ${words} 2> /dev/null; gzip -1 --keep layer.tar`], folder);
    diffIds.push(`sha256:${await sha256(tar)}`);
    layers.push({ mediaType: LAYER, ...(await store(`${tar}.gz`, blobs)) });
    await rm(tar);
  }
  const history = diffIds.map(() => ({ created_by: 'bench' }));
  const rootfs = { type: 'layers', diff_ids: diffIds };
  const image = await put({ architecture: 'amd64', os: 'linux', config: {}, rootfs, history });
  const config = { mediaType: CONFIG, ...image };
  const manifest = await put({ schemaVersion: 2, mediaType: MANIFEST, config, layers });
  const annotations = { 'org.opencontainers.image.ref.name': 'bench' };
  const manifests = [{ mediaType: MANIFEST, ...manifest, annotations }];
  await writeFile(path.join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(path.join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  return layout;
}

async function store(file: string, blobs: string): Promise<Stored> {
  const hex = await sha256(file);
  const target = path.join(blobs, hex);
  await rename(file, target);
  return { digest: `sha256:${hex}`, size: (await stat(target)).size };
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** A list of files of /usr that are together as large as asked for, or all of them. */
async function someFiles(folder: string, mebibytes: number): Promise<string> {
  const names: string[] = [];
  let left = mebibytes * MEBIBYTE;
  for (const entry of await readdir('/usr', { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || left <= 0) continue;
    const name = path.join(entry.parentPath, entry.name);
    left -= (await stat(name)).size;
    names.push(name);
  }
  const list = path.join(folder, 'files.txt');
  await writeFile(list, names.join('\n'));
  return list;
}

function run(
  program: string,
  words: readonly string[],
  folder: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Sample> {
  const began = performance.now();
  const env = { ...process.env, TMPDIR: folder, ...environment };
  const child = spawn(program, words, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'], env });
  const memory = watchMemory(child.pid ?? 0);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      const peakMebibytes = memory.end();
      if (code === 0) resolve({ seconds: (performance.now() - began) / 1000, peakMebibytes });
      else reject(new Error(`${program} ${words.join(' ')} ended with code ${String(code)}`));
    });
  });
}

async function isMissing(program: string): Promise<readonly string[]> {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const found = await Promise.all(folders.map((folder) => stat(path.join(folder, program)).catch(() => undefined)));
  return found.some((stats) => stats !== undefined) ? [] : [program];
}
