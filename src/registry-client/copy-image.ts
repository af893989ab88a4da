// Copies an image, or an index with all its images, manifest by manifest: children before parents, blobs before the manifest that
// names them, and nothing that is there already. The source may be any place that gives manifests and blobs.
import type { Readable } from 'node:stream';
import type { Digest } from '../images/digest.ts';
import {
  neededDescriptors,
  parseManifest,
  type OciDescriptor,
  type OciManifest,
} from '../images/registry/oci-manifest.ts';
import { formatPlatform, pickPlatform, type Platform } from '../images/os-image.ts';
import type { PulledManifest, RegistryClient } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';

export interface ImageSource {
  /** The manifest or index that the whole is named by. */
  root(): Promise<PulledManifest>;
  manifest(digest: Digest): Promise<PulledManifest>;
  /** Bytes from `start` to the end. */
  blob(descriptor: OciDescriptor, start: number): Promise<Readable>;
  /** Repository of the target's own registry that the blobs may be mounted from. */
  readonly mountFrom?: string;
}

export interface ImageTarget {
  readonly client: RegistryClient;
  readonly repository: string;
  /** Undefined leaves the image without a name but its digest. */
  readonly tag?: string;
}

interface CopyProgress {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Of this blob, as far as the target has it. */
  readonly bytes: number;
}

export interface CopyOptions {
  /** Of an index, this one alone is copied and tagged. Without it the whole index is. */
  readonly platform?: Platform;
  readonly onProgress?: (progress: CopyProgress) => void;
}

export interface CopiedImage {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly blobsPushed: number;
  readonly blobsSkipped: number;
  readonly bytesPushed: number;
}

/** So many blobs at the same time: one connection seldom fills a long line. */
const PARALLEL_BLOBS = 3;
const MAX_DEPTH = 4;
const MAX_MANIFESTS = 500;

/** An image of a registry as the source of a copy. */
export function registrySource(client: RegistryClient, repository: string, reference: string): ImageSource {
  const manifest = async (name: string): Promise<PulledManifest> => {
    const found = await client.pullManifest(repository, name);
    if (found === undefined) throw new RegistryError('not-found', `There is no ${repository} ${name}.`);
    return found;
  };
  return {
    root: () => manifest(reference),
    manifest,
    blob: async ({ digest, size }, offset) => {
      const found = await client.pullBlob(repository, digest, { offset, limitBytes: size });
      if (found === undefined) throw new RegistryError('not-found', `${repository} names ${digest} and has none.`);
      return found.content;
    },
  };
}

/** Throws RegistryError. Breaking off loses nothing: what has come over is skipped the next time. */
export async function copyImage(
  source: ImageSource,
  target: ImageTarget,
  options: CopyOptions = {},
): Promise<CopiedImage> {
  const copy = new Copy(source, target, options);
  const root = await copy.choose(await source.root());
  await copy.image(root, target.tag ?? root.digest, 0);
  return { digest: root.digest, mediaType: root.mediaType, ...copy.counts };
}

class Copy {
  readonly counts = { blobsPushed: 0, blobsSkipped: 0, bytesPushed: 0 };
  readonly #source: ImageSource;
  readonly #target: ImageTarget;
  readonly #options: CopyOptions;
  readonly #done = new Set<Digest>();
  #manifests = 0;

  constructor(source: ImageSource, target: ImageTarget, options: CopyOptions) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
  }

  /** The image of the wanted platform, where the root is an index. */
  async choose(root: PulledManifest): Promise<PulledManifest> {
    const { platform } = this.#options;
    if (platform === undefined) return root;
    const parsed = parsedOf(root);
    if (parsed.kind !== 'index') return root;
    const fits = pickPlatform(parsed.manifests, platform);
    if (fits !== undefined) return this.choose(await this.#source.manifest(fits.digest));
    const known = parsed.manifests.flatMap(({ platform: own }) => (own === undefined ? [] : [formatPlatform(own)]));
    throw new RegistryError(
      'not-found',
      `The index has no image for ${formatPlatform(platform)}; it has ${known.join(', ') || 'none that says so'}.`,
    );
  }

  /** The manifest goes last: a registry refuses one whose parts it has not seen. */
  async image(manifest: PulledManifest, reference: string, depth: number): Promise<void> {
    this.#manifests += 1;
    if (depth > MAX_DEPTH || this.#manifests > MAX_MANIFESTS)
      throw new RegistryError('too-large', 'The index has too many images or is nested too deeply.');
    const parsed = parsedOf(manifest);
    const needed = neededDescriptors(parsed);
    if (parsed.kind === 'index') for (const child of needed) await this.#child(child, depth + 1);
    else await this.#blobs(needed);
    await this.#target.client.pushManifest(this.#target.repository, reference, manifest);
  }

  async #child({ digest }: OciDescriptor, depth: number): Promise<void> {
    if (this.#done.has(digest)) return;
    this.#done.add(digest);
    if ((await this.#target.client.headManifest(this.#target.repository, digest)) !== undefined) return;
    await this.image(await this.#source.manifest(digest), digest, depth);
  }

  async #blobs(blobs: readonly OciDescriptor[]): Promise<void> {
    const waiting = blobs.filter(({ digest }) => !this.#done.has(digest));
    for (const { digest } of waiting) this.#done.add(digest);
    const unique = [...new Map(waiting.map((blob) => [blob.digest, blob])).values()];
    const work = async (): Promise<void> => {
      for (let blob = unique.shift(); blob !== undefined; blob = unique.shift()) await this.#blob(blob);
    };
    const outcomes = await Promise.allSettled(Array.from({ length: PARALLEL_BLOBS }, work));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #blob(blob: OciDescriptor): Promise<void> {
    const { digest, size: sizeBytes } = blob;
    const { mountFrom } = this.#source;
    const outcome = await this.#target.client.pushBlob(this.#target.repository, {
      digest,
      sizeBytes,
      open: (start) => this.#source.blob(blob, start),
      ...(mountFrom === undefined ? {} : { mountFrom }),
      onProgress: (bytes) => this.#options.onProgress?.({ digest, sizeBytes, bytes }),
    });
    if (outcome !== 'pushed') this.counts.blobsSkipped += 1;
    else {
      this.counts.blobsPushed += 1;
      this.counts.bytesPushed += sizeBytes;
    }
  }
}

function parsedOf(manifest: PulledManifest): OciManifest {
  const parsed = parseManifest(manifest.content, manifest.mediaType);
  if (parsed.kind === 'parsed') return parsed.manifest;
  throw new RegistryError('invalid-answer', `${manifest.digest} is no manifest that Muster knows: ${parsed.reason}`);
}
