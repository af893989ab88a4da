// Manifests, tags and links in memory: for tests and for trying things out.
import type { Digest } from '../../images/digest.ts';
import type { ManifestRecord, RegistryStore } from '../../images/registry/registry-store.ts';

interface Entry {
  readonly record: ManifestRecord;
  readonly touchedAt: number;
}

interface Repository {
  readonly manifests: Map<Digest, Entry>;
  readonly tags: Map<string, Digest>;
  readonly links: Map<Digest, number>;
}

export class MemoryRegistryStore implements RegistryStore {
  readonly #repositories = new Map<string, Repository>();

  putManifest(record: ManifestRecord, tags: readonly string[]): Promise<void> {
    const { manifests, tags: known } = this.#openRepository(record.repository);
    const { createdAt } = manifests.get(record.digest)?.record ?? record;
    for (const tag of tags) {
      const loser = manifests.get(known.get(tag) ?? record.digest);
      if (loser !== undefined) manifests.set(loser.record.digest, { ...loser, touchedAt: record.createdAt });
      known.set(tag, record.digest);
    }
    manifests.set(record.digest, { record: { ...record, createdAt }, touchedAt: record.createdAt });
    return Promise.resolve();
  }

  findManifest(repository: string, digest: Digest): Promise<ManifestRecord | undefined> {
    return Promise.resolve(this.#repositories.get(repository)?.manifests.get(digest)?.record);
  }

  resolveTag(repository: string, tag: string): Promise<Digest | undefined> {
    return Promise.resolve(this.#repositories.get(repository)?.tags.get(tag));
  }

  listTags(repository: string, page: { readonly after?: string; readonly limit: number }): Promise<readonly string[]> {
    return Promise.resolve(pageOf(this.#repositories.get(repository)?.tags.keys() ?? [], page));
  }

  hasRepository(repository: string): Promise<boolean> {
    const { manifests, links } = this.#repositories.get(repository) ?? {};
    return Promise.resolve((manifests?.size ?? 0) + (links?.size ?? 0) > 0);
  }

  listRepositories(page: { readonly after?: string; readonly limit: number }): Promise<readonly string[]> {
    const used = [...this.#repositories].filter(([, { manifests, links }]) => manifests.size + links.size > 0);
    return Promise.resolve(
      pageOf(
        used.map(([name]) => name),
        page,
      ),
    );
  }

  listReferrers(repository: string, subject: Digest, artifactType?: string): Promise<readonly ManifestRecord[]> {
    const records = [...(this.#repositories.get(repository)?.manifests.values() ?? [])].map(({ record }) => record);
    return Promise.resolve(
      records
        .filter((record) => record.subject === subject && record.artifactType === (artifactType ?? record.artifactType))
        .sort((a, b) => (a.digest < b.digest ? -1 : 1)),
    );
  }

  deleteTag(repository: string, tag: string): Promise<boolean> {
    return Promise.resolve(this.#repositories.get(repository)?.tags.delete(tag) ?? false);
  }

  deleteManifest(repository: string, digest: Digest): Promise<boolean> {
    return Promise.resolve(this.#delete(repository, digest));
  }

  linkBlob(repository: string, digest: Digest, at: number): Promise<void> {
    this.#openRepository(repository).links.set(digest, at);
    return Promise.resolve();
  }

  hasBlob(repository: string, digest: Digest): Promise<boolean> {
    return Promise.resolve(this.#repositories.get(repository)?.links.has(digest) ?? false);
  }

  unlinkBlob(repository: string, digest: Digest): Promise<boolean> {
    return Promise.resolve(this.#repositories.get(repository)?.links.delete(digest) ?? false);
  }

  isReferenced(repository: string, digest: Digest): Promise<boolean> {
    const entries = [...(this.#repositories.get(repository)?.manifests.values() ?? [])];
    return Promise.resolve(entries.some(({ record }) => record.references.includes(digest)));
  }

  repositoriesOf(digest: Digest): Promise<readonly string[]> {
    const having = [...this.#repositories].filter(([, { links }]) => links.has(digest));
    return Promise.resolve(having.map(([name]) => name).sort());
  }

  keptDigests(since: number, pinned: ReadonlySet<Digest>): Promise<ReadonlySet<Digest>> {
    const kept = new Set<Digest>(pinned);
    for (const { manifests, tags, links } of this.#repositories.values()) {
      for (const digest of tags.values()) kept.add(digest);
      for (const [digest, { touchedAt }] of manifests) if (touchedAt > since) kept.add(digest);
      for (const [digest, linkedAt] of links) if (linkedAt > since) kept.add(digest);
    }
    // A set visits what is added while it is walked.
    for (const digest of kept) for (const needed of this.#neededBy(digest)) kept.add(needed);
    return Promise.resolve(kept);
  }

  forget(digests: readonly Digest[]): Promise<void> {
    for (const [name, { links }] of this.#repositories) {
      for (const digest of digests) {
        this.#delete(name, digest);
        links.delete(digest);
      }
    }
    return Promise.resolve();
  }

  allDigests(): Promise<ReadonlySet<Digest>> {
    const all = [...this.#repositories.values()];
    return Promise.resolve(new Set(all.flatMap(({ manifests, links }) => [...manifests.keys(), ...links.keys()])));
  }

  isOnRecord(digest: Digest): Promise<boolean> {
    const all = [...this.#repositories.values()];
    return Promise.resolve(all.some(({ manifests, links }) => manifests.has(digest) || links.has(digest)));
  }

  #openRepository(name: string): Repository {
    const known = this.#repositories.get(name);
    if (known !== undefined) return known;
    const made: Repository = { manifests: new Map(), tags: new Map(), links: new Map() };
    this.#repositories.set(name, made);
    return made;
  }

  #delete(repository: string, digest: Digest): boolean {
    const { manifests, tags } = this.#repositories.get(repository) ?? {};
    for (const [tag, named] of tags ?? []) if (named === digest) tags?.delete(tag);
    return manifests?.delete(digest) ?? false;
  }

  #neededBy(digest: Digest): readonly Digest[] {
    return [...this.#repositories.values()].flatMap(({ manifests }) => [
      ...(manifests.get(digest)?.record.references ?? []),
      ...[...manifests.values()].filter(({ record }) => record.subject === digest).map(({ record }) => record.digest),
    ]);
  }
}

function pageOf(
  names: Iterable<string>,
  { after = '', limit }: { readonly after?: string; readonly limit: number },
): readonly string[] {
  // Array.sort without a comparison goes by code unit, which is what the port asks for.
  return [...names]
    .filter((name) => name > after)
    .sort()
    .slice(0, limit);
}
