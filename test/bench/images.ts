// From a container image to a squashfs: Muster beside the pipeline of the usual tools. The image has files of this machine's
// /usr, as many as are asked for, so that it compresses as images do.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { aDracutInitrd } from '../support/initrd-builders.ts';
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
    const samples: Record<'peers' | 'muster', Sample[]> = { peers: [], muster: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      samples.peers.push(await run('sh', ['-ec', PIPELINE], folder));
      samples.muster.push(await run(process.execPath, [script, layout], folder));
    }
    return table(title, mebibytes, summary(samples.peers), summary(samples.muster));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function table(title: string, mebibytes: number, peers: Sample, muster: Sample): BenchResult {
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
    rows: [row('skopeo | umoci unpack | mksquashfs', peers), row('muster', muster)],
    notes: [
      `Median of ${ROUNDS} rounds in turn. Peak: the most resident memory of the process and its children together.`,
      'Muster’s time includes its start, the push into its store, digests, and finding kernel and initrd.',
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

function run(program: string, words: readonly string[], folder: string): Promise<Sample> {
  const began = performance.now();
  const env = { ...process.env, TMPDIR: folder };
  const child = spawn(program, words, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'], env });
  let peakMebibytes = 0;
  const watch = setInterval(() => {
    void residentMebibytes(child.pid ?? 0).then((sum) => {
      peakMebibytes = Math.max(peakMebibytes, sum);
    });
  }, 100);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearInterval(watch);
      if (code === 0) resolve({ seconds: (performance.now() - began) / 1000, peakMebibytes });
      else reject(new Error(`${program} ${words.join(' ')} ended with code ${String(code)}`));
    });
  });
}

/** Of a process and all below it. */
async function residentMebibytes(pid: number): Promise<number> {
  const read = (name: string): Promise<string> => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
  const own = Number(/VmRSS:\s+(\d+) kB/.exec(await read('status'))?.[1] ?? 0) / 1024;
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const children = await Promise.all(threads.map((thread) => read(`task/${thread}/children`)));
  const below = children
    .join(' ')
    .split(' ')
    .filter((word) => word !== '');
  const sums = await Promise.all(below.map((child) => residentMebibytes(Number(child))));
  return sums.reduce((sum, more) => sum + more, own);
}

async function isMissing(program: string): Promise<readonly string[]> {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const found = await Promise.all(folders.map((folder) => stat(path.join(folder, program)).catch(() => undefined)));
  return found.some((stats) => stats !== undefined) ? [] : [program];
}
