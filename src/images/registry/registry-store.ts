// PORT. Which manifests, tags and blobs each repository has, and who refers to what. The bytes are the blob store's. Adapters:
// storage/sql, storage/memory; both pass test/contract/registry-store.
import type { Digest } from '../digest.ts';

export interface ManifestRecord {
  readonly repository: string;
  readonly digest: Digest;
  readonly mediaType: string;
  /** Of an image manifest without its own: the media type of its config (distribution-spec "Listing Referrers"). */
  readonly artifactType?: string;
  readonly sizeBytes: number;
  readonly subject?: Digest;
  readonly annotations: Readonly<Record<string, string>>;
  /** Config, layers, or the manifests of an index. */
  readonly references: readonly Digest[];
  readonly createdAt: number;
}

export interface RegistryStore {
  /**
   * One transaction: the manifest is on record and each of the tags names it from now on. `createdAt` of a manifest that was there
   * already stays; for keptDigests it counts as put again.
   */
  putManifest(record: ManifestRecord, tags: readonly string[]): Promise<void>;
  findManifest(repository: string, digest: Digest): Promise<ManifestRecord | undefined>;
  resolveTag(repository: string, tag: string): Promise<Digest | undefined>;
  /** In lexical order (by code unit), those after `after`. */
  listTags(repository: string, page: { readonly after?: string; readonly limit: number }): Promise<readonly string[]>;
  /** Whether it has any manifest or blob. */
  hasRepository(repository: string): Promise<boolean>;
  /** Those that have a manifest or blob, in lexical order. */
  listRepositories(page: { readonly after?: string; readonly limit: number }): Promise<readonly string[]>;
  /** Sorted by digest. */
  listReferrers(repository: string, subject: Digest, artifactType?: string): Promise<readonly ManifestRecord[]>;
  deleteTag(repository: string, tag: string): Promise<boolean>;
  /** Takes its tags with it. */
  deleteManifest(repository: string, digest: Digest): Promise<boolean>;
  /** The repository may be asked for this blob; doing it again moves the time on. Times in milliseconds since 1970. */
  linkBlob(repository: string, digest: Digest, at: number): Promise<void>;
  hasBlob(repository: string, digest: Digest): Promise<boolean>;
  unlinkBlob(repository: string, digest: Digest): Promise<boolean>;
  /** Whether a manifest of this repository names the digest as config, layer or child. */
  isReferenced(repository: string, digest: Digest): Promise<boolean>;
  /** Repositories that have this blob: where a mount without `from` may find it. */
  repositoriesOf(digest: Digest): Promise<readonly string[]>;
  /**
   * Every digest that must stay: what is tagged or in `pinned`, the children of a kept index, the references and the referrers of
   * a kept manifest, and whatever was linked, put or lost a tag to another manifest after `since`.
   */
  keptDigests(since: number, pinned: ReadonlySet<Digest>): Promise<ReadonlySet<Digest>>;
  /** Forgets all manifests and links of these digests; one transaction. */
  forget(digests: readonly Digest[]): Promise<void>;
  /** Every digest on record, as manifest or link. */
  allDigests(): Promise<ReadonlySet<Digest>>;
  /** Whether this digest is on record anywhere, as manifest or link. */
  isOnRecord(digest: Digest): Promise<boolean>;
}
