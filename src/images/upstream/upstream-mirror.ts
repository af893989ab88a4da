// Brings whole images over from upstream, so that machines can boot them: all blobs and signatures first, the name last. Works
// through the cache, in the background, one image at a time.
import type { Clock } from '../../clock.ts';
import { BOOT_ARTIFACT_TYPE } from '../boot-image.ts';
import { parseDigest, type Digest } from '../digest.ts';
import type { ImageReference } from '../image-reference.ts';
import { neededDescriptors, parseManifest } from '../registry/oci-manifest.ts';
import { pickPlatform, type Platform } from '../os-image.ts';
import type { FoundManifestContent, Refused } from '../registry/registry-outcome.ts';
import type { RegistryService } from '../registry/registry-service.ts';
import type { UpstreamCache } from './upstream-cache.ts';
import { ExpiringMap, SingleFlight } from './upstream-state.ts';

export interface UpstreamMirrorParts {
  readonly cache: Pick<UpstreamCache, 'covers' | 'lookUp' | 'getManifest' | 'getBlob' | 'referrers'>;
  readonly registry: Pick<RegistryService, 'headManifest' | 'putManifest'>;
  readonly clock: Clock;
  /** Of an index, the images of other platforms stay where they are. */
  readonly platform: Platform;
  /** Told of what no mirror should meet. */
  readonly onFailure: (error: unknown) => void;
}

export type Mirrored =
  { readonly kind: 'complete'; readonly digest: Digest } | { readonly kind: 'incomplete'; readonly reason: string };

/** So often a name is looked up again at most; after a failure sooner. */
const FRESH_MS = 60_000;
const FAILED_MS = 15_000;
const ANNOUNCED_MS = 24 * 3600_000;
const MAX_REFERRERS = 64;
/** A blob that is still being fetched is asked for again so often: the cache waits 90 seconds each time. */
const MAX_WAITS = 1_000;

export class UpstreamMirror {
  readonly #parts: UpstreamMirrorParts;
  readonly #flights = new SingleFlight<Mirrored>();
  readonly #recent: ExpiringMap<Mirrored>;
  readonly #announced: ExpiringMap<true>;
  #work: Promise<unknown> = Promise.resolve();

  constructor(parts: UpstreamMirrorParts) {
    this.#parts = parts;
    this.#recent = new ExpiringMap(parts.clock);
    this.#announced = new ExpiringMap(parts.clock);
  }

  /**
   * Makes sure in the background that this image is here and its tag up to date; asked at each boot. What the last try came to,
   * `fetching` where there is none yet; undefined where there is nothing to fetch it from.
   */
  request(reference: ImageReference): Mirrored | { readonly kind: 'fetching' } | undefined {
    if (reference.kind === 'channel' || !this.#parts.cache.covers(reference.name)) return undefined;
    const name = reference.kind === 'tag' ? reference.tag : reference.digest;
    const recent = this.#recent.get(`${reference.name} ${name}`);
    if (recent !== undefined) return recent;
    this.mirror(reference.name, name).catch(this.#parts.onFailure);
    return { kind: 'fetching' };
  }

  /** `name` is a tag or a digest. */
  mirror(repository: string, name: string): Promise<Mirrored> {
    const key = `${repository} ${name}`;
    return this.#flights.run(key, async () => {
      const turn = this.#work.then(() => this.#mirror(repository, name));
      this.#work = turn.catch(() => undefined);
      const mirrored = await turn;
      this.#recent.set(key, mirrored, mirrored.kind === 'complete' ? FRESH_MS : FAILED_MS);
      return mirrored;
    });
  }

  async #mirror(repository: string, name: string): Promise<Mirrored> {
    const { cache, registry } = this.#parts;
    const digest = parseDigest(name) ?? (await cache.lookUp(repository, name));
    const here = await registry.headManifest(repository, name);
    const known = digest ?? (here.kind === 'found' ? here.record.digest : undefined);
    if (known === undefined) return { kind: 'incomplete', reason: `There is no ${name} upstream, or no answer.` };
    const root = await cache.getManifest(repository, known);
    if (root.kind === 'refused') return incomplete(root);
    const failure = (await this.#bring(repository, root)) ?? (await this.#referrers(repository, known));
    if (failure !== undefined) return incomplete(failure);
    return this.#name(repository, name, root);
  }

  /** All blobs of an image; of an index those of the image for our platform. */
  async #bring(repository: string, { record, bytes }: FoundManifestContent): Promise<Refused | undefined> {
    const parsed = parseManifest(bytes, record.mediaType);
    if (parsed.kind === 'invalid') return undefined;
    if (parsed.manifest.kind === 'index') {
      const entry = pickPlatform(parsed.manifest.manifests, this.#parts.platform);
      if (entry === undefined) return undefined;
      const child = await this.#parts.cache.getManifest(repository, entry.digest);
      if (child.kind === 'refused') return child;
      return (await this.#bring(repository, child)) ?? (await this.#referrers(repository, entry.digest));
    }
    for (const { digest } of neededDescriptors(parsed.manifest)) {
      const failure = await this.#blob(repository, digest);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  async #blob(repository: string, digest: Digest): Promise<Refused | undefined> {
    for (let wait = 0; ; wait += 1) {
      const found = await this.#parts.cache.getBlob(repository, digest);
      if (found.kind === 'found') return undefined;
      if (found.code !== 'TOOMANYREQUESTS' || wait > MAX_WAITS) return found;
    }
  }

  /** Signatures, in both of cosign's places. Boot manifests are made here: the same image gives the same. */
  async #referrers(repository: string, subject: Digest): Promise<Refused | undefined> {
    const page = await this.#parts.cache.referrers(repository, subject);
    const records = page.kind === 'page' ? page.items.slice(0, MAX_REFERRERS) : [];
    const wanted: string[] = records.flatMap(({ artifactType, digest }) =>
      artifactType === BOOT_ARTIFACT_TYPE ? [] : [digest],
    );
    for (const name of [...wanted, `${subject.replace(':', '-')}.sig`]) {
      const found = await this.#parts.cache.getManifest(repository, name);
      const failure = found.kind === 'found' ? await this.#bring(repository, found) : undefined;
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  /** As a push: listeners hear of it, and conversion begins. Of an index the other platforms are missing, so nobody is told. */
  async #name(repository: string, name: string, { record, bytes }: FoundManifestContent): Promise<Mirrored> {
    const { registry, cache } = this.#parts;
    const { digest, mediaType } = record;
    const tags = parseDigest(name) === undefined ? [name] : [];
    const here = await registry.headManifest(repository, name);
    const isNamed = here.kind === 'found' && here.record.digest === digest;
    // A tag that a client's pull brought here was named before all was there: whoever then looked in vain looks again.
    const key = `${repository} ${name} ${digest}`;
    if (isNamed && this.#announced.get(key) === true) return { kind: 'complete', digest };
    this.#announced.set(key, true, ANNOUNCED_MS);
    const stored = await registry.putManifest({ repository, reference: digest, tags, mediaType, bytes });
    if (stored.kind === 'stored') return { kind: 'complete', digest };
    const named = await cache.getManifest(repository, name);
    return named.kind === 'found' ? { kind: 'complete', digest: named.record.digest } : incomplete(named);
  }
}

function incomplete({ message }: Refused): Mirrored {
  return { kind: 'incomplete', reason: message };
}
