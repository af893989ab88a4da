// The registry (OCI distribution-spec 1.1) without HTTP: what may be pulled, pushed, listed and deleted, as values. Bytes of
// blobs are read through the blob store.
import type { Readable } from 'node:stream';
import type { Clock } from '../../clock.ts';
import type { BlobStore } from '../blob-store.ts';
import type { Digest, DigestBytes } from '../digest.ts';
import { RegistryBlobs } from './registry-blobs.ts';
import { RegistryCollector, type CollectionOptions } from './registry-collector.ts';
import { RegistryListings } from './registry-listings.ts';
import { RegistryLocks } from './registry-locks.ts';
import { RegistryManifests, type ManifestListener, type ManifestPush } from './registry-manifests.ts';
import type {
  CollectionReport,
  Deleted,
  FoundBlob,
  FoundManifest,
  FoundManifestContent,
  Page,
  PageRequest,
  Refused,
  StoredBlob,
  StoredManifest,
  UploadAppended,
  UploadStarted,
} from './registry-outcome.ts';
import type { ManifestRecord, RegistryStore } from './registry-store.ts';
import type { ChunkRange, UploadStore } from './upload-store.ts';

export interface RegistryParts {
  readonly store: RegistryStore;
  readonly blobs: BlobStore;
  readonly uploads: UploadStore;
  readonly clock: Clock;
  readonly digestBytes: DigestBytes;
  /** What must stay although no tag names it: loaders, channels, images that machines boot or run. */
  readonly pinned: () => Promise<ReadonlySet<Digest>>;
  readonly limits: { readonly blobBytes: number };
}

export class RegistryService {
  readonly #manifests: RegistryManifests;
  readonly #blobs: RegistryBlobs;
  readonly #listings: RegistryListings;
  readonly #collector: RegistryCollector;
  readonly #locks = new RegistryLocks();

  constructor(parts: RegistryParts) {
    const shared = { ...parts, locks: this.#locks };
    this.#manifests = new RegistryManifests(shared);
    this.#blobs = new RegistryBlobs(shared);
    this.#listings = new RegistryListings(parts.store);
    this.#collector = new RegistryCollector(shared);
  }

  /** `reference` is a tag or a digest. */
  getManifest(repository: string, reference: string): Promise<FoundManifestContent | Refused> {
    return this.#manifests.get(repository, reference);
  }

  headManifest(repository: string, reference: string): Promise<FoundManifest | Refused> {
    return this.#manifests.head(repository, reference);
  }

  putManifest(push: ManifestPush): Promise<StoredManifest | Refused> {
    return this.#manifests.put(push);
  }

  /** For a cache, which fetches blobs when they are asked for: what the manifest names may be missing, and no listener is told. */
  putIncompleteManifest(push: ManifestPush): Promise<StoredManifest | Refused> {
    return this.#manifests.putIncomplete(push);
  }

  /** A tag loses its name only; a digest takes its tags with it. */
  deleteManifest(repository: string, reference: string): Promise<Deleted | Refused> {
    return this.#manifests.delete(repository, reference);
  }

  /** Called before a push is answered, so that what a listener has written is there once the client hears of success. */
  onManifestStored(listener: ManifestListener): void {
    this.#manifests.onStored(listener);
  }

  getBlob(repository: string, digest: string): Promise<FoundBlob | Refused> {
    return this.#blobs.get(repository, digest);
  }

  /** As getBlob; and a pusher who was told that the blob is there need not fear its collection for another grace period. */
  headBlob(repository: string, digest: string): Promise<FoundBlob | Refused> {
    return this.#blobs.head(repository, digest);
  }

  deleteBlob(repository: string, digest: string): Promise<Deleted | Refused> {
    return this.#blobs.delete(repository, digest);
  }

  /** The whole blob in one go (POST with `?digest=`). `content` is read to its end, whatever the outcome. */
  putBlob(blob: {
    readonly repository: string;
    readonly digest: string;
    readonly content: Readable;
  }): Promise<StoredBlob | Refused> {
    return this.#blobs.put(blob);
  }

  /** Takes in a blob whose bytes `publish` puts into the blob store under this digest. */
  adoptBlob(repository: string, digest: Digest, publish: () => Promise<void>): Promise<void> {
    return this.#blobs.adopt(repository, digest, publish);
  }

  /** With `mount` a digest that is there already (in `from`, or in any repository) is taken over without any upload. */
  startUpload(start: {
    readonly repository: string;
    readonly mount?: string;
    readonly from?: string;
  }): Promise<UploadStarted | Refused> {
    return this.#blobs.start(start);
  }

  uploadStatus(repository: string, id: string): Promise<{ readonly kind: 'found'; readonly offset: number } | Refused> {
    return this.#blobs.status(repository, id);
  }

  /** All of `content` or nothing. `content` is read to its end, whatever the outcome. */
  appendUpload(chunk: {
    readonly repository: string;
    readonly id: string;
    readonly content: Readable;
    readonly range?: ChunkRange;
  }): Promise<UploadAppended | Refused> {
    return this.#blobs.append(chunk);
  }

  /** With `content` as the last chunk. After a refusal for the digest the upload is gone. */
  finishUpload(end: {
    readonly repository: string;
    readonly id: string;
    readonly digest: string;
    readonly content?: Readable;
    readonly range?: ChunkRange;
  }): Promise<StoredBlob | Exclude<UploadAppended, { kind: 'appended' }> | Refused> {
    return this.#blobs.finish(end);
  }

  cancelUpload(repository: string, id: string): Promise<Deleted | Refused> {
    return this.#blobs.cancel(repository, id);
  }

  listTags(repository: string, page: PageRequest): Promise<Page<string> | Refused> {
    return this.#listings.tags(repository, page);
  }

  catalog(page: PageRequest): Promise<Page<string>> {
    return this.#listings.repositories(page);
  }

  /** Sorted by digest; empty also where the subject or the repository is unknown (distribution-spec "Listing Referrers"). */
  referrers(
    repository: string,
    subject: string,
    options: { readonly artifactType?: string; readonly after?: string } = {},
  ): Promise<Page<ManifestRecord> | Refused> {
    return this.#listings.referrers(repository, subject, options);
  }

  /** Removes what nothing needs any more. Safe beside pushes and pulls, and when it is interrupted. */
  collectGarbage(options: CollectionOptions = {}): Promise<CollectionReport> {
    return this.#collector.collect(options);
  }

  /**
   * Runs the action while nothing can be collected and no manifest is recorded: to look something up and pin it. The action
   * must not call this service.
   */
  holdCollection<T>(action: () => Promise<T>): Promise<T> {
    return this.#locks.withGraph(action);
  }
}
