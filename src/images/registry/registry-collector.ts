// Garbage collection: mark what is needed, forget the rest, then remove its bytes. Records go first, so that an interruption
// leaves bytes that nobody can ask for, and the next run takes those too.
import type { Clock } from '../../clock.ts';
import { KeyedQueue } from '../../keyed-queue.ts';
import type { BlobStore } from '../blob-store.ts';
import type { Digest } from '../digest.ts';
import type { RegistryLocks } from './registry-locks.ts';
import type { CollectionReport } from './registry-outcome.ts';
import type { RegistryStore } from './registry-store.ts';
import type { UploadStore } from './upload-store.ts';

const HOUR_MS = 3_600_000;

export interface CollectionOptions {
  /** What was pushed, asked for or untagged more recently stays: a client may be about to push the manifest that needs it. */
  readonly graceMs?: number;
  readonly uploadLifetimeMs?: number;
  /** Only say what would be removed. */
  readonly dryRun?: boolean;
}

interface CollectorParts {
  readonly store: RegistryStore;
  readonly blobs: BlobStore;
  readonly uploads: UploadStore;
  readonly clock: Clock;
  readonly pinned: () => Promise<ReadonlySet<Digest>>;
  readonly locks: RegistryLocks;
}

interface Marking {
  readonly kept: ReadonlySet<Digest>;
  readonly unneeded: readonly Digest[];
}

export class RegistryCollector {
  readonly #parts: CollectorParts;
  readonly #runs = new KeyedQueue();

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  collect(options: CollectionOptions): Promise<CollectionReport> {
    return this.#runs.run('collect', () => this.#collect(options));
  }

  async #collect({
    graceMs = HOUR_MS,
    uploadLifetimeMs = 24 * HOUR_MS,
    dryRun = false,
  }: CollectionOptions): Promise<CollectionReport> {
    const { clock, uploads } = this.#parts;
    const now = clock.now();
    const since = now - graceMs;
    const { kept, unneeded } = await this.#mark(since, dryRun);
    const removed = new Map<Digest, number>();
    const remove = async (digest: Digest): Promise<void> => {
      const sizeBytes = await this.#remove(digest, dryRun);
      if (sizeBytes !== undefined) removed.set(digest, sizeBytes);
    };
    for (const digest of unneeded) await remove(digest);
    for await (const { digest, storedAt } of this.#parts.blobs.list()) {
      if (!kept.has(digest) && !removed.has(digest) && storedAt <= since) await remove(digest);
    }
    return {
      digests: [...removed.keys()],
      sizeBytes: [...removed.values()].reduce((sum, bytes) => sum + bytes, 0),
      staleUploads: dryRun ? 0 : await uploads.removeStale(now - uploadLifetimeMs),
    };
  }

  /** In one go with forgetting: what a push finds on record meanwhile is either kept, with all that it needs, or gone. */
  #mark(since: number, dryRun: boolean): Promise<Marking> {
    const { store, pinned, locks } = this.#parts;
    return locks.withGraph(async () => {
      const kept = await store.keptDigests(since, await pinned());
      const unneeded = [...(await store.allDigests())].filter((digest) => !kept.has(digest));
      if (!dryRun && unneeded.length > 0) await store.forget(unneeded);
      return { kept, unneeded };
    });
  }

  /** Its size; undefined where somebody has pushed it again. */
  #remove(digest: Digest, dryRun: boolean): Promise<number | undefined> {
    const { store, blobs, locks } = this.#parts;
    return locks.withDigest(digest, async () => {
      if (!dryRun && (await store.isOnRecord(digest))) return undefined;
      const sizeBytes = (await blobs.size(digest)) ?? 0;
      if (!dryRun) await blobs.remove(digest);
      return sizeBytes;
    });
  }
}
