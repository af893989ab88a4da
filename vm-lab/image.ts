// The Debian image that the lab's machines boot: built once from image/ and boot-assets/agent/, then found again by the
// digest of what it was built from. The work is done by image/build-image.sh; this module decides whether and where.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, labCacheDirectory, removeOld, runRecipe } from './image-cache.ts';

export interface LabImage {
  readonly directory: string;
  readonly kernel: string;
  readonly initrd: string;
  readonly squashfs: string;
  /** SHA-256 of the recipe, not of the image: Debian's packages may have moved since. Lower-case hex. */
  readonly digest: string;
  /** The layer of Debian's packages below it; gone where only newer images were used for long. */
  readonly base: string;
}

interface ImageSurroundings {
  readonly projectDirectory: string;
  readonly cacheDirectory: string;
  readonly missing: () => readonly string[];
}

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
    const script = [
      join(projectDirectory, 'vm-lab/image/build-image.sh'),
      base,
      directory,
      join(cacheDirectory, 'debs'),
    ];
    await runRecipe({ what: 'lab image', script, cacheDirectory, onProgress });
  }
  await removeOld(cacheDirectory, [directory, base]);
  return {
    directory,
    kernel: join(directory, 'vmlinuz'),
    initrd: join(directory, 'initrd.img'),
    squashfs: join(directory, 'rootfs.squashfs'),
    digest: digests.image,
    base,
  };
}

function defaultSurroundings(): ImageSurroundings {
  return {
    projectDirectory: join(import.meta.dirname, '..'),
    cacheDirectory: labCacheDirectory(),
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
  const dracut = await filesUnder(project, 'boot-assets/dracut');
  const base = await digestOf(project, ['vm-lab/image/base.sh', 'vm-lab/image/packages.txt', ...dracut]);
  const configuration = await filesUnder(project, 'vm-lab/image/files');
  const agent = await filesUnder(project, 'boot-assets/agent');
  const layer = await digestOf(project, ['vm-lab/image/layer.sh', ...configuration, ...agent]);
  return { base, image: createHash('sha256').update(`${base} ${layer}`).digest('hex') };
}

async function filesUnder(project: string, folder: string): Promise<readonly string[]> {
  const entries = await readdir(join(project, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.md'))
    .map((entry) => join(entry.parentPath, entry.name).slice(project.length + 1))
    .sort();
}
