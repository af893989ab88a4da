// PORT. Another registry that this one is a cache of. What comes as a manifest has the digest that is said; a blob has not been
// checked. Adapter: registry-client/open-upstream.ts.
import type { Readable } from 'node:stream';
import type { Digest } from '../digest.ts';

export interface UpstreamFailure {
  readonly kind: 'failed';
  /** A word for logs: `unreachable`, `unauthorised`, `digest-mismatch`, … */
  readonly reason: string;
  readonly text: string;
}

export type UpstreamAnswer<Found> =
  ({ readonly kind: 'found' } & Found) | { readonly kind: 'not-found' } | UpstreamFailure;

export interface UpstreamManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly content: Buffer;
}

export interface UpstreamBlob {
  /** Of the whole blob, where it is told. */
  readonly sizeBytes: number | undefined;
  /** From the offset on. Fails with an Error whose message says why. */
  readonly content: Readable;
}

export interface UpstreamRegistry {
  /** Its host, for people. */
  readonly name: string;
  /** What the tag names now; the digest is missing where the registry doesn't say it without the manifest. */
  resolve(repository: string, tag: string): Promise<UpstreamAnswer<{ readonly digest: Digest | undefined }>>;
  manifest(repository: string, reference: string): Promise<UpstreamAnswer<UpstreamManifest>>;
  blob(repository: string, digest: Digest, offset: number): Promise<UpstreamAnswer<UpstreamBlob>>;
  referrers(repository: string, subject: Digest): Promise<UpstreamAnswer<{ readonly digests: readonly Digest[] }>>;
}

/** A registry and which repositories come from it. */
export interface Upstream {
  /** Folder of our repository names that stands for the whole of the other registry; empty for all names. */
  readonly prefix: string;
  readonly registry: UpstreamRegistry;
}

/** Where a repository comes from, and what it is called there: the longest prefix wins. */
export function routeUpstream(
  upstreams: readonly Upstream[],
  repository: string,
): { readonly registry: UpstreamRegistry; readonly name: string } | undefined {
  const [best] = upstreams
    .filter(({ prefix }) => prefix === '' || repository.startsWith(`${prefix}/`))
    .sort((a, b) => b.prefix.length - a.prefix.length);
  if (best === undefined) return undefined;
  return { registry: best.registry, name: best.prefix === '' ? repository : repository.slice(best.prefix.length + 1) };
}
