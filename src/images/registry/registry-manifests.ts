// Manifests of the registry: pull, push and delete (distribution-spec "Pulling", "Pushing Manifests", "Deleting").
import { Readable } from 'node:stream';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { BlobStore } from '../blob-store.ts';
import { digestParts, type Digest, type DigestBytes } from '../digest.ts';
import { artifactTypeOf, neededDescriptors, parseManifest, type OciManifest } from './oci-manifest.ts';
import type { RegistryLocks } from './registry-locks.ts';
import { invalidDigest, isTag, parseManifestReference, refuseName, type ManifestReference } from './registry-names.ts';
import {
  refused,
  tooLarge,
  type Deleted,
  type FoundManifest,
  type FoundManifestContent,
  type Refused,
  type StoredManifest,
} from './registry-outcome.ts';
import type { ManifestRecord, RegistryStore } from './registry-store.ts';

/** The least that a registry should take (distribution-spec "Pushing Manifests"), and enough for any. */
const MANIFEST_LIMIT_BYTES = 4 * 1024 * 1024;
const TAG_LIMIT = 100;

export interface ManifestPush {
  readonly repository: string;
  /** Tag or digest. */
  readonly reference: string;
  /** More tags to name it by (`?tag=`). */
  readonly tags?: readonly string[];
  /** Content-Type of the request, without parameters. */
  readonly mediaType?: string;
  readonly bytes: Uint8Array;
}

export type ManifestListener = (stored: StoredManifest) => Promise<void> | void;

type Check = (manifest: OciManifest) => Promise<Refused | undefined>;

interface ManifestParts {
  readonly store: RegistryStore;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly digestBytes: DigestBytes;
  readonly pinned: () => Promise<ReadonlySet<Digest>>;
  readonly locks: RegistryLocks;
}

export class RegistryManifests {
  readonly #parts: ManifestParts;
  readonly #listeners: ManifestListener[] = [];

  constructor(parts: ManifestParts) {
    this.#parts = parts;
  }

  onStored(listener: ManifestListener): void {
    this.#listeners.push(listener);
  }

  async head(repository: string, reference: string): Promise<FoundManifest | Refused> {
    const refusal = refuseName(repository);
    if (refusal !== undefined) return refusal;
    const parsed = parseManifestReference(reference);
    if (parsed === undefined && reference.includes(':')) return invalidDigest();
    const digest = parsed && (await this.#resolve(repository, parsed));
    const record = digest && (await this.#parts.store.findManifest(repository, digest));
    return record === undefined ? this.#unknown(repository) : { kind: 'found', record };
  }

  async get(repository: string, reference: string): Promise<FoundManifestContent | Refused> {
    const found = await this.head(repository, reference);
    if (found.kind === 'refused') return found;
    try {
      return { ...found, bytes: await this.#read(found.record.digest) };
    } catch (error) {
      // Collected since it was looked up?
      if (await this.#parts.store.isOnRecord(found.record.digest)) throw error;
      return this.#unknown(repository);
    }
  }

  async put(push: ManifestPush): Promise<StoredManifest | Refused> {
    const stored = await this.#take(push, (manifest) => this.#refuseMissing(push.repository, manifest));
    if (stored.kind === 'stored') for (const listener of this.#listeners) await listener(stored);
    return stored;
  }

  /** What it names may be missing, and no listener is told. */
  putIncomplete(push: ManifestPush): Promise<StoredManifest | Refused> {
    return this.#take(push, () => Promise.resolve(undefined));
  }

  async delete(repository: string, reference: string): Promise<Deleted | Refused> {
    const refusal = refuseName(repository);
    if (refusal !== undefined) return refusal;
    const parsed = parseManifestReference(reference);
    if (parsed === undefined) return reference.includes(':') ? invalidDigest() : this.#unknown(repository);
    return this.#parts.locks.withGraph(async () => {
      const { store, pinned } = this.#parts;
      if (parsed.kind === 'digest' && (await pinned()).has(parsed.digest)) {
        return refused(
          'DENIED',
          'This image is in use: a channel or profile names it, a machine boots or runs it, or it is being converted.',
        );
      }
      const deleted =
        parsed.kind === 'tag'
          ? await store.deleteTag(repository, parsed.tag)
          : await store.deleteManifest(repository, parsed.digest);
      return deleted ? ({ kind: 'deleted' } as const) : this.#unknown(repository);
    });
  }

  async #take(push: ManifestPush, check: Check): Promise<StoredManifest | Refused> {
    const { repository, bytes } = push;
    const refusal = refuseName(repository);
    if (refusal !== undefined) return refusal;
    const reference = parseManifestReference(push.reference);
    if (reference === undefined) return push.reference.includes(':') ? invalidDigest() : invalidTag();
    const tags = [...new Set([...(reference.kind === 'tag' ? [reference.tag] : []), ...(push.tags ?? [])])];
    if (tags.length > TAG_LIMIT || !tags.every(isTag)) return invalidTag();
    if (bytes.length > MANIFEST_LIMIT_BYTES) return tooLarge('MANIFEST_INVALID', MANIFEST_LIMIT_BYTES);
    const digest = this.#digestOf(reference, bytes);
    if (reference.kind === 'digest' && reference.digest !== digest) {
      return refused('DIGEST_INVALID', `The bytes that came have the digest ${digest}.`);
    }
    const parsed = parseManifest(bytes, push.mediaType);
    if (parsed.kind === 'invalid') return refused('MANIFEST_INVALID', parsed.reason);
    const { manifest } = parsed;
    const record = recordOf(manifest, { repository, digest, sizeBytes: bytes.length, now: this.#parts.clock.now() });
    const missing = await this.#parts.locks.withDigest(digest, () =>
      this.#store({ record, bytes, tags }, () => check(manifest)),
    );
    return missing ?? { kind: 'stored', record, tags };
  }

  async #resolve(repository: string, reference: ManifestReference): Promise<Digest | undefined> {
    return reference.kind === 'digest' ? reference.digest : this.#parts.store.resolveTag(repository, reference.tag);
  }

  async #read(digest: Digest): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#parts.blobs.read(digest)) if (chunk instanceof Uint8Array) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  #digestOf(reference: ManifestReference, bytes: Uint8Array): Digest {
    const algorithm = reference.kind === 'digest' ? digestParts(reference.digest).algorithm : 'sha256';
    return this.#parts.digestBytes(algorithm, bytes);
  }

  /** Bytes first, record second: what is on record can be read. The refusal where something that it names is not there. */
  async #store(
    { record, bytes, tags }: Pick<StoredManifest, 'record' | 'tags'> & { readonly bytes: Uint8Array },
    check: () => Promise<Refused | undefined>,
  ): Promise<Refused | undefined> {
    const { blobs, locks, store } = this.#parts;
    const early = await check();
    if (early !== undefined) return early;
    const put = await blobs.put(record.digest, Readable.from([bytes]), MANIFEST_LIMIT_BYTES);
    if (put.kind !== 'stored' && put.kind !== 'exists') {
      throw new AppError('internal', `Storing manifest ${record.digest} ended with ${put.kind}.`);
    }
    return locks.withGraph(async () => {
      // Once more: until here they could be collected.
      const late = await check();
      if (late === undefined) await store.putManifest(record, tags);
      return late;
    });
  }

  async #refuseMissing(repository: string, manifest: OciManifest): Promise<Refused | undefined> {
    for (const { digest, size } of neededDescriptors(manifest)) {
      const sizeBytes = await this.#sizeIn(repository, digest);
      if (sizeBytes === undefined) {
        return refused('MANIFEST_BLOB_UNKNOWN', `The repository has no ${digest}; push it before the manifest.`);
      }
      if (sizeBytes !== size) return refused('SIZE_INVALID', `${digest} has ${sizeBytes} bytes, not ${size}.`);
    }
    return undefined;
  }

  async #sizeIn(repository: string, digest: Digest): Promise<number | undefined> {
    const { store, blobs } = this.#parts;
    const isThere =
      (await store.hasBlob(repository, digest)) || (await store.findManifest(repository, digest)) !== undefined;
    return isThere ? blobs.size(digest) : undefined;
  }

  async #unknown(repository: string): Promise<Refused> {
    return (await this.#parts.store.hasRepository(repository))
      ? refused('MANIFEST_UNKNOWN', 'The repository has no such manifest.')
      : refused('NAME_UNKNOWN', 'There is no such repository.');
  }
}

function invalidTag(): Refused {
  return refused('MANIFEST_INVALID', `A tag has up to 128 of A-Z a-z 0-9 _ . -; a push gives at most ${TAG_LIMIT}.`);
}

function recordOf(
  manifest: OciManifest,
  its: { readonly repository: string; readonly digest: Digest; readonly sizeBytes: number; readonly now: number },
): ManifestRecord {
  const { mediaType, annotations, subject } = manifest;
  const artifactType = artifactTypeOf(manifest);
  const parts = manifest.kind === 'image' ? [manifest.config, ...manifest.layers] : manifest.manifests;
  return {
    repository: its.repository,
    digest: its.digest,
    mediaType,
    ...(artifactType !== undefined && { artifactType }),
    sizeBytes: its.sizeBytes,
    ...(subject !== undefined && { subject: subject.digest }),
    annotations,
    references: parts.map(({ digest }) => digest),
    createdAt: its.now,
  };
}
