// Which blobs anybody may fetch by digest over plain HTTP: kernels, initrds and root file systems of images that are ready to
// boot, which machines without any credential need. Not a door to the registry: layers, configs and manifests stay behind it.
import type { Clock } from '../clock.ts';
import type { BlobStore } from './blob-store.ts';
import type { ConversionStore } from './conversion/conversion-store.ts';
import { parseDigest, type Digest } from './digest.ts';

/** A digest that is not known may belong to an image that became ready a moment ago: so often that is looked up. */
const RENEW_MS = 1_000;
/** And so long the files of an image that was removed stay public at most. */
const KEEP_MS = 30_000;

export interface PublicArtifactParts {
  readonly conversions: Pick<ConversionStore, 'list'>;
  readonly blobs: Pick<BlobStore, 'size'>;
  readonly clock: Clock;
}

export class PublicArtifacts {
  readonly #parts: PublicArtifactParts;
  #known: ReadonlySet<Digest> = new Set();
  #readAt = -Infinity;
  #reading: Promise<void> | undefined;

  constructor(parts: PublicArtifactParts) {
    this.#parts = parts;
  }

  /** Undefined for everything that is not public, be it here or not. */
  async find(text: string): Promise<{ readonly digest: Digest; readonly sizeBytes: number } | undefined> {
    const digest = parseDigest(text);
    if (digest === undefined || !(await this.#isPublic(digest))) return undefined;
    const sizeBytes = await this.#parts.blobs.size(digest);
    return sizeBytes === undefined ? undefined : { digest, sizeBytes };
  }

  async #isPublic(digest: Digest): Promise<boolean> {
    const age = this.#parts.clock.now() - this.#readAt;
    if (age > KEEP_MS || (age > RENEW_MS && !this.#known.has(digest))) await this.#renew();
    return this.#known.has(digest);
  }

  #renew(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    const at = this.#parts.clock.now();
    const conversions = await this.#parts.conversions.list();
    this.#known = new Set(
      conversions.flatMap((one) =>
        one.state === 'ready' ? [one.image.kernel.digest, one.image.initrd.digest, one.image.squashfs.digest] : [],
      ),
    );
    this.#readAt = at;
  }
}
