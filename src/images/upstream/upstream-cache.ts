// Makes the registry a pull-through cache: what is asked for and not here is fetched from an upstream, once however many ask, and
// answered from the store. While the upstream is down, what is here is served. Pushes and deletions do not come this way.
import type { Clock, Scheduler } from '../../clock.ts';
import { parseDigest, type Digest } from '../digest.ts';
import {
  refused,
  type FoundBlob,
  type FoundManifest,
  type FoundManifestContent,
  type Page,
  type Refused,
} from '../registry/registry-outcome.ts';
import type { RegistryService } from '../registry/registry-service.ts';
import type { ManifestRecord } from '../registry/registry-store.ts';
import { UpstreamBlobs } from './upstream-blobs.ts';
import { routeUpstream, type Upstream, type UpstreamFailure, type UpstreamRegistry } from './upstream-registry.ts';
import { ExpiringMap, SingleFlight } from './upstream-state.ts';

/** For logs: each failure of an upstream, and each thing that was fetched. */
export type UpstreamReport = {
  readonly upstream: string;
  readonly repository: string;
  /** Tag or digest. */
  readonly reference: string;
} & (
  | { readonly kind: 'manifest-fetched' }
  | { readonly kind: 'blob-fetched'; readonly sizeBytes: number; readonly durationMs: number }
  | { readonly kind: 'failed'; readonly reason: string; readonly text: string }
);

export interface UpstreamCacheParts {
  readonly registry: RegistryService;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly upstreams: readonly Upstream[];
  readonly onReport: (report: UpstreamReport) => void;
  /** So much of a blob is synced in one go, and fetched again at most after a break. */
  readonly pieceBytes?: number;
}

/** How long a tag that was looked up counts as right. */
const TAG_MS = 60_000;
const MISS_MS = 10_000;
/** Bytes that did not have their digest are not fetched again at once: they may be many. */
const WRONG_MS = 60_000;
const DOWN_MS = 15_000;
/** A look-up that takes longer does not keep back what is here. */
const LOOK_UP_MS = 3_000;
/** Whoever waits longer is told to ask again: sockets on which nothing moves are closed (http/create-server.ts). */
const WAIT_MS = 90_000;
const MAX_REFERRERS = 64;
const DOWN_REASONS: readonly string[] = ['unreachable', 'untrusted', 'unavailable', 'broken-off'];

interface Route {
  readonly registry: UpstreamRegistry;
  readonly name: string;
}

type CachedRegistry = Omit<
  RegistryService,
  'adoptBlob' | 'onManifestStored' | 'collectGarbage' | 'holdCollection' | 'catalog'
>;

/** Undefined: it went well. Else a sentence for the one who asked; `isLate` where the fetch goes on. */
type Trouble = { readonly text: string; readonly isLate?: boolean } | undefined;

/** The registry as its routes see it, with the reads of the cache in place of its own. */
export function cachedRegistry(registry: RegistryService, cache: UpstreamCache): CachedRegistry {
  return {
    getManifest: (repository, reference) => cache.getManifest(repository, reference),
    headManifest: (repository, reference) => cache.headManifest(repository, reference),
    getBlob: (repository, digest) => cache.getBlob(repository, digest),
    headBlob: (repository, digest) => cache.headBlob(repository, digest),
    referrers: (repository, subject, options) => cache.referrers(repository, subject, options),
    putManifest: (push) => registry.putManifest(push),
    putIncompleteManifest: (push) => registry.putIncompleteManifest(push),
    deleteManifest: (repository, reference) => registry.deleteManifest(repository, reference),
    deleteBlob: (repository, digest) => registry.deleteBlob(repository, digest),
    putBlob: (blob) => registry.putBlob(blob),
    startUpload: (start) => registry.startUpload(start),
    uploadStatus: (repository, id) => registry.uploadStatus(repository, id),
    appendUpload: (chunk) => registry.appendUpload(chunk),
    finishUpload: (end) => registry.finishUpload(end),
    cancelUpload: (repository, id) => registry.cancelUpload(repository, id),
    listTags: (repository, page) => registry.listTags(repository, page),
  };
}

export class UpstreamCache {
  readonly #parts: UpstreamCacheParts;
  readonly #blobs: UpstreamBlobs;
  readonly #flights = new SingleFlight<Trouble>();
  readonly #fresh: ExpiringMap<true>;
  readonly #misses: ExpiringMap<string>;
  readonly #down: ExpiringMap<string>;

  constructor(parts: UpstreamCacheParts) {
    this.#parts = parts;
    this.#blobs = new UpstreamBlobs(parts.registry, parts.pieceBytes);
    this.#fresh = new ExpiringMap(parts.clock);
    this.#misses = new ExpiringMap(parts.clock);
    this.#down = new ExpiringMap(parts.clock);
  }

  async getManifest(repository: string, reference: string): Promise<FoundManifestContent | Refused> {
    const trouble = await this.#needManifest(repository, reference);
    return explain(await this.#parts.registry.getManifest(repository, reference), trouble);
  }

  async headManifest(repository: string, reference: string): Promise<FoundManifest | Refused> {
    const trouble = await this.#needManifest(repository, reference);
    return explain(await this.#parts.registry.headManifest(repository, reference), trouble);
  }

  async getBlob(repository: string, digest: string): Promise<FoundBlob | Refused> {
    const trouble = await this.#needBlob(repository, digest);
    return explain(await this.#parts.registry.getBlob(repository, digest), trouble);
  }

  async headBlob(repository: string, digest: string): Promise<FoundBlob | Refused> {
    const trouble = await this.#needBlob(repository, digest);
    return explain(await this.#parts.registry.headBlob(repository, digest), trouble);
  }

  /** What a tag names upstream, without any change here; undefined where there is no such tag, no upstream or no answer. */
  async lookUp(repository: string, tag: string): Promise<Digest | undefined> {
    const route = routeUpstream(this.#parts.upstreams, repository);
    if (route === undefined || this.#down.get(route.registry.name) !== undefined) return undefined;
    const answer = await route.registry.resolve(route.name, tag);
    if (answer.kind === 'failed') this.#failed(route, repository, tag, answer);
    if (answer.kind !== 'found' || answer.digest !== undefined)
      return answer.kind === 'found' ? answer.digest : undefined;
    const manifest = await route.registry.manifest(route.name, tag);
    return manifest.kind === 'found' ? manifest.digest : undefined;
  }

  /** Whether there is an upstream for this repository. */
  covers(repository: string): boolean {
    return routeUpstream(this.#parts.upstreams, repository) !== undefined;
  }

  /** Those of the upstream are put on record first, so that they are known while it is down. */
  async referrers(
    repository: string,
    subject: string,
    options: { readonly artifactType?: string; readonly after?: string } = {},
  ): Promise<Page<ManifestRecord> | Refused> {
    const route = routeUpstream(this.#parts.upstreams, repository);
    const digest = parseDigest(subject);
    const key = `${repository} ${subject} referrers`;
    if (route !== undefined && digest !== undefined && this.#isWorthAsking(route, key))
      await this.#within(LOOK_UP_MS, key, () => this.#fetchReferrers(route, repository, digest, key));
    return this.#parts.registry.referrers(repository, subject, options);
  }

  async #needManifest(repository: string, reference: string): Promise<Trouble> {
    const route = routeUpstream(this.#parts.upstreams, repository);
    if (route === undefined) return undefined;
    const here = await this.#parts.registry.headManifest(repository, reference);
    const key = `${repository} ${reference}`;
    if (here.kind === 'found') {
      if (parseDigest(reference) !== undefined || !this.#isWorthAsking(route, key)) return undefined;
      return this.#within(LOOK_UP_MS, key, () => this.#lookAgain(route, repository, reference, here.record.digest));
    }
    if (here.code !== 'MANIFEST_UNKNOWN' && here.code !== 'NAME_UNKNOWN') return undefined;
    return (
      this.#knownTrouble(route, key) ??
      this.#within(WAIT_MS, key, () => this.#fetchManifest(route, repository, reference))
    );
  }

  async #needBlob(repository: string, text: string): Promise<Trouble> {
    const route = routeUpstream(this.#parts.upstreams, repository);
    const digest = parseDigest(text);
    if (route === undefined || digest === undefined) return undefined;
    const here = await this.#parts.registry.getBlob(repository, digest);
    if (here.kind === 'found' || here.code !== 'BLOB_UNKNOWN') return undefined;
    const key = `${repository} ${digest}`;
    return (
      this.#knownTrouble(route, key) ??
      this.#within(WAIT_MS, `blob ${key}`, () => this.#fetchBlob(route, repository, digest))
    );
  }

  #isWorthAsking(route: Route, key: string): boolean {
    return this.#fresh.get(key) === undefined && this.#down.get(route.registry.name) === undefined;
  }

  #knownTrouble(route: Route, key: string): Trouble {
    const text = this.#misses.get(key) ?? this.#down.get(route.registry.name);
    return text === undefined ? undefined : { text };
  }

  /** Waits so long for what goes on in any case, whoever asked for it. */
  async #within(milliseconds: number, key: string, action: () => Promise<Trouble>): Promise<Trouble> {
    const flight = this.#flights.run(key, action);
    const { promise: deadline, resolve } = Promise.withResolvers<Trouble>();
    const cancel = this.#parts.scheduler.after(milliseconds, () => {
      resolve({ text: 'It is still being fetched from upstream: ask again.', isLate: true });
    });
    // Whoever waits hears of a failure; afterwards there is nobody.
    flight.catch(() => undefined);
    try {
      return await Promise.race([flight, deadline]);
    } finally {
      cancel();
    }
  }

  async #lookAgain(route: Route, repository: string, tag: string, known: Digest): Promise<Trouble> {
    const answer = await route.registry.resolve(route.name, tag);
    if (answer.kind === 'failed') return this.#failed(route, repository, tag, answer);
    // A tag that the upstream does not have was given here, or has gone there: either way it stays until somebody deletes it.
    if (answer.kind === 'found' && answer.digest !== known) return this.#fetchManifest(route, repository, tag);
    this.#fresh.set(`${repository} ${tag}`, true, TAG_MS);
    return undefined;
  }

  async #fetchManifest(route: Route, repository: string, reference: string): Promise<Trouble> {
    const key = `${repository} ${reference}`;
    const answer = await route.registry.manifest(route.name, reference);
    if (answer.kind === 'failed') return this.#failed(route, repository, reference, answer);
    if (answer.kind === 'not-found') return this.#missing(route, key);
    // By its digest, which the store compares once more; the tag beside it.
    const tags = parseDigest(reference) === undefined ? [reference] : [];
    const { digest, mediaType, content: bytes } = answer;
    const stored = await this.#parts.registry.putIncompleteManifest({
      repository,
      reference: digest,
      tags,
      mediaType,
      bytes,
    });
    if (stored.kind === 'refused') {
      const failure = { kind: 'failed', reason: 'invalid-answer', text: stored.message } as const;
      return this.#failed(route, repository, reference, failure);
    }
    this.#fresh.set(key, true, TAG_MS);
    this.#parts.onReport({ kind: 'manifest-fetched', upstream: route.registry.name, repository, reference });
    return undefined;
  }

  async #fetchBlob(route: Route, repository: string, digest: Digest): Promise<Trouble> {
    const { clock, onReport } = this.#parts;
    const startedAt = clock.now();
    const outcome = await this.#blobs.fetch(route, repository, digest);
    switch (outcome.kind) {
      case 'failed':
        return this.#failed(route, repository, digest, outcome);
      case 'not-found':
        return this.#missing(route, `${repository} ${digest}`);
      case 'linked':
        return undefined;
      case 'fetched': {
        const { sizeBytes } = outcome;
        const durationMs = clock.now() - startedAt;
        const upstream = route.registry.name;
        onReport({ kind: 'blob-fetched', upstream, repository, reference: digest, sizeBytes, durationMs });
        return undefined;
      }
    }
  }

  async #fetchReferrers(route: Route, repository: string, subject: Digest, key: string): Promise<Trouble> {
    const answer = await route.registry.referrers(route.name, subject);
    if (answer.kind === 'failed') return this.#failed(route, repository, subject, answer);
    this.#fresh.set(key, true, TAG_MS);
    if (answer.kind === 'not-found') return undefined;
    for (const digest of answer.digests.slice(0, MAX_REFERRERS)) await this.#needManifest(repository, digest);
    return undefined;
  }

  #missing(route: Route, key: string): Trouble {
    const text = `Its upstream ${route.registry.name} has none either.`;
    this.#misses.set(key, text, MISS_MS);
    return { text };
  }

  #failed(route: Route, repository: string, reference: string, failure: UpstreamFailure): Trouble {
    const { reason, text: cause } = failure;
    const upstream = route.registry.name;
    const text = `It could not be fetched from upstream (${reason}): ${cause}`;
    if (DOWN_REASONS.includes(reason)) this.#down.set(upstream, text, DOWN_MS);
    else if (reason !== 'busy') this.#misses.set(`${repository} ${reference}`, text, WRONG_MS);
    this.#parts.onReport({ kind: 'failed', upstream, repository, reference, reason, text: cause });
    return { text };
  }
}

/** A refusal says what stood in the way upstream. */
function explain<Found extends { readonly kind: 'found' }>(
  outcome: Found | Refused,
  trouble: Trouble,
): Found | Refused {
  if (outcome.kind === 'found' || trouble === undefined) return outcome;
  if (trouble.isLate === true) return refused('TOOMANYREQUESTS', trouble.text);
  return { ...outcome, message: `${outcome.message} ${trouble.text}` };
}
