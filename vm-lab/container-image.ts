// The lab's Debian root as a container image: an OCI layout with two tags that share layers, made with umoci from what the lab
// image is made of, and cached beside it. The work is done by image/build-container.sh.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { digestOf, removeOld, runRecipe } from './image-cache.ts';
import type { LabImage } from './image.ts';

/**
 * `1` has two layers, `2` has both of them and a small one of its own. `3` has an initrd that panics, `4` a health probe that
 * fails. Each calls itself by its number: 1.0 to 4.0.
 */
export type ContainerTag = '1' | '2' | '3' | '4';

export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:…` */
  readonly digest: string;
  readonly size: number;
}

export interface ContainerImage {
  /** `oci-layout`, `index.json`, `blobs/` (OCI image-spec, image-layout.md). */
  readonly layout: string;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

interface ContainerSurroundings {
  readonly projectDirectory: string;
}

const SCRIPT = 'vm-lab/image/build-container.sh';
const BASE_SCRIPT = 'vm-lab/image/build-image.sh';
const REFERENCE_NAME = 'org.opencontainers.image.ref.name';

const descriptorSchema = z.looseObject({ mediaType: z.string(), digest: z.string(), size: z.int() });
const indexSchema = z.looseObject({
  manifests: z.array(descriptorSchema.extend({ annotations: z.record(z.string(), z.string()).optional() })),
});
const manifestSchema = z.looseObject({ config: descriptorSchema, layers: z.array(descriptorSchema) });

/** The layout that belongs to this lab image, built where it is not in the cache: some ten seconds. */
export async function ensureContainerLayout(
  image: LabImage,
  onProgress: (line: string) => void,
  { projectDirectory }: ContainerSurroundings = { projectDirectory: join(import.meta.dirname, '..') },
): Promise<string> {
  const recipe = await digestOf(projectDirectory, [SCRIPT]);
  const cacheDirectory = dirname(image.directory);
  const digest = createHash('sha256').update(`${image.digest} ${recipe}`).digest('hex');
  const layout = join(cacheDirectory, `container-${digest}`);
  const run = (what: string, ...script: readonly string[]): Promise<void> =>
    runRecipe({ what, script, cacheDirectory, onProgress });
  if (!existsSync(layout)) {
    if (!existsSync(image.base)) {
      const script = join(projectDirectory, BASE_SCRIPT);
      await run('lab image', script, image.base, image.directory, join(cacheDirectory, 'debs'));
    }
    await run('container image', join(projectDirectory, SCRIPT), image.base, layout);
  }
  await removeOld(cacheDirectory, [layout, image.base]);
  return layout;
}

export async function readContainerImage(layout: string, tag: ContainerTag): Promise<ContainerImage> {
  const index = indexSchema.parse(JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')));
  const manifest = index.manifests.find(({ annotations }) => annotations?.[REFERENCE_NAME] === tag);
  if (manifest === undefined) throw new Error(`${layout} has no image with the tag ${tag}`);
  const text = await readFile(blobPath(layout, manifest), 'utf8');
  return { layout, manifest, ...manifestSchema.parse(JSON.parse(text)) };
}

export function blobPath(layout: string, { digest }: Pick<Descriptor, 'digest'>): string {
  return join(layout, 'blobs', digest.replace(':', '/'));
}
