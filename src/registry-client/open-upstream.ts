// The adapter of the UpstreamRegistry port: a registry client whose failures are values, and which gives up soon enough for
// somebody to wait for it.
import type {
  UpstreamAnswer,
  UpstreamBlob,
  UpstreamFailure,
  UpstreamManifest,
  UpstreamRegistry,
} from '../images/upstream/upstream-registry.ts';
import type { Digest } from '../images/digest.ts';
import { RegistryClient } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import type { RegistryOptions } from './registry-transport.ts';

const ATTEMPTS = 2;

/** Throws RegistryError('refused') for a URL that is none; does not connect yet. */
export function openUpstream(
  options: Omit<RegistryOptions, 'attempts'> & { readonly blobLimitBytes: number },
): UpstreamRegistry & { close(): Promise<void> } {
  const client = new RegistryClient({ ...options, attempts: ATTEMPTS });
  const limitBytes = options.blobLimitBytes;
  return {
    name: new URL(options.url).host,
    resolve: (repository, tag): Promise<UpstreamAnswer<{ readonly digest: Digest | undefined }>> =>
      answerOf(async () => {
        const found = await client.headManifest(repository, tag);
        return found && { kind: 'found', digest: found.digest };
      }),
    manifest: (repository, reference): Promise<UpstreamAnswer<UpstreamManifest>> =>
      answerOf(async () => {
        const found = await client.pullManifest(repository, reference);
        return found && { kind: 'found', ...found };
      }),
    blob: (repository, digest, offset): Promise<UpstreamAnswer<UpstreamBlob>> =>
      answerOf(async () => {
        const found = await client.pullBlob(repository, digest, { offset, limitBytes, isVerified: false });
        return found && { kind: 'found', ...found };
      }),
    referrers: (repository, subject): Promise<UpstreamAnswer<{ readonly digests: readonly Digest[] }>> =>
      answerOf(async () => {
        const found = await client.listReferrers(repository, subject);
        return { kind: 'found', digests: found.map(({ digest }) => digest) };
      }),
    close: () => client.close(),
  };
}

async function answerOf<Found extends { readonly kind: 'found' }>(
  ask: () => Promise<Found | undefined>,
): Promise<Found | { readonly kind: 'not-found' } | UpstreamFailure> {
  try {
    return (await ask()) ?? { kind: 'not-found' };
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    return { kind: 'failed', reason: error.reason, text: error.message };
  }
}
