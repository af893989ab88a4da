// The Debian image that the lab's machines boot: built once from image/ and boot-assets/agent/, then found again by the
// digest of what it was built from. The work is done by image/build-image.sh; this module decides whether and where.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface LabImage {
  readonly directory: string;
  readonly kernel: string;
  readonly initrd: string;
  readonly squashfs: string;
  /** SHA-256 of the recipe, not of the image: Debian's packages may have moved since. Lower-case hex. */
  readonly digest: string;
}

interface ImageSurroundings {
  readonly projectDirectory: string;
  readonly cacheDirectory: string;
  readonly missing: () => readonly string[];
}

const KEPT = 2;
const ABANDONED_AFTER_MILLISECONDS = 3_600_000;
const PROGRAMS = {
  debootstrap: 'debootstrap',
  mksquashfs: 'squashfs-tools',
  flock: 'util-linux',
  unshare: 'util-linux',
};

/**
 * The image of the present recipe, built where it is not in the cache: minutes for the base of Debian packages, seconds
 * when only agent or configuration changed. `onProgress` gets a line for each step. Two runs at once build once.
 */
export async function ensureLabImage(
  onProgress: (line: string) => void,
  surroundings: Partial<ImageSurroundings> = {},
): Promise<LabImage> {
  const { projectDirectory, cacheDirectory, missing } = { ...defaultSurroundings(), ...surroundings };
  const digests = await recipeDigests(projectDirectory);
  const directory = join(cacheDirectory, digests.image);
  const base = join(cacheDirectory, `base-${digests.base}`);
  if (!existsSync(directory)) {
    const reasons = missing();
    if (reasons.length > 0) throw new Error(`the lab image cannot be built here: ${reasons.join('; ')}`);
    await mkdir(cacheDirectory, { recursive: true });
    await build([join(projectDirectory, 'vm-lab/image/build-image.sh'), base, directory], cacheDirectory, onProgress);
  }
  await removeOld(cacheDirectory, [directory, base]);
  return {
    directory,
    kernel: join(directory, 'vmlinuz'),
    initrd: join(directory, 'initrd.img'),
    squashfs: join(directory, 'rootfs.squashfs'),
    digest: digests.image,
  };
}

function defaultSurroundings(): ImageSurroundings {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return {
    projectDirectory: join(import.meta.dirname, '..'),
    cacheDirectory: join(cache, 'muster/lab'),
    missing: missingForBuild,
  };
}

function missingForBuild(): readonly string[] {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  const root = process.getuid?.() === 0 ? [] : ['debootstrap makes device files: run it as root'];
  const programs = Object.entries(PROGRAMS)
    .filter(([program]) => !folders.some((folder) => existsSync(join(folder, program))))
    .map(([program, name]) => `${program} is missing: apt-get install ${name}`);
  return [...root, ...programs];
}

/** The base depends on the packages alone, so that a change of the agent does not build it anew. */
async function recipeDigests(project: string): Promise<{ base: string; image: string }> {
  const base = await digestOf(project, ['vm-lab/image/base.sh', 'vm-lab/image/packages.txt']);
  const configuration = await filesUnder(project, 'vm-lab/image/files');
  const agent = await filesUnder(project, 'boot-assets/agent');
  const layer = await digestOf(project, ['vm-lab/image/layer.sh', ...configuration, ...agent]);
  return { base, image: createHash('sha256').update(`${base} ${layer}`).digest('hex') };
}

async function digestOf(project: string, names: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const name of names) hash.update(`${name}\0`).update(await readFile(join(project, name)));
  return hash.digest('hex');
}

async function filesUnder(project: string, folder: string): Promise<readonly string[]> {
  const entries = await readdir(join(project, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.md'))
    .map((entry) => join(entry.parentPath, entry.name).slice(project.length + 1))
    .sort();
}

/** The lock is flock's, which the kernel drops with its process: a killed run locks nobody out. */
async function build(
  script: readonly string[],
  cacheDirectory: string,
  onProgress: (line: string) => void,
): Promise<void> {
  const log = join(cacheDirectory, 'build.log');
  const started = Date.now();
  const child = spawn('flock', [join(cacheDirectory, 'lock'), 'sh', ...script, join(cacheDirectory, 'debs'), log], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    onProgress(`lab image, ${Math.round((Date.now() - started) / 1000)} s: ${line}`);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  if (code !== 0) {
    const said = await readFile(log, 'utf8').catch(() => '');
    throw new Error(`the lab image was not built (${log}):\n${said.trimEnd().split('\n').slice(-15).join('\n')}`);
  }
  onProgress(`lab image, ${Math.round((Date.now() - started) / 1000)} s: ready`);
}

/** Of images and of bases the two that were used last stay; so do the unfinished ones, while somebody may be at work. */
async function removeOld(cacheDirectory: string, used: readonly string[]): Promise<void> {
  const now = new Date();
  for (const path of used) if (existsSync(path)) await utimes(path, now, now);
  const found = (await readdir(cacheDirectory)).map(async (name) => {
    const path = join(cacheDirectory, name);
    // Another run may rename or remove what was there a moment ago.
    const stats = await stat(path).catch(() => undefined);
    return stats === undefined ? [] : [{ name, path, usedAt: stats.mtimeMs }];
  });
  const entries = (await Promise.all(found)).flat();
  entries.sort((one, other) => other.usedAt - one.usedAt);
  const finished = [/^[0-9a-f]{64}$/, /^base-[0-9a-f]{64}$/].flatMap((form) =>
    entries.filter(({ name }) => form.test(name)).slice(KEPT),
  );
  const abandoned = entries.filter(
    ({ name, usedAt }) => name.includes('.tmp.') && now.getTime() - usedAt > ABANDONED_AFTER_MILLISECONDS,
  );
  for (const { path } of [...finished, ...abandoned]) await rm(path, { recursive: true, force: true });
}
