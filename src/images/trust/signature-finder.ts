// Collects the signatures of an image from both places where they may lie: its `.sig` tag and its referrers. Asks through a
// small port, so that the server looks into its own store and the command line into a registry.
import type { Digest } from '../digest.ts';
import { verifySignature, type SignatureVerdict, type SigningKey } from './signature.ts';
import { parseSignatureManifest, signatureTag } from './signature-manifest.ts';

/** PORT. Adapters: StoredSignatures (signature-stored-source.ts), cli/registry-signatures.ts. */
export interface SignatureSource {
  resolveTag(repository: string, tag: string): Promise<Digest | undefined>;
  /** Manifests of signatures that have the image as their subject. */
  listSignatureReferrers(repository: string, image: Digest): Promise<readonly Digest[]>;
  /** Undefined where there is none, or where it is larger than the limit. */
  readManifest(repository: string, digest: Digest): Promise<Uint8Array | undefined>;
  readBlob(repository: string, digest: Digest): Promise<Uint8Array | undefined>;
}

export interface FoundSignature {
  /** Where it lies: the tag, or the digest of the referrer. */
  readonly place: string;
  readonly payload: Digest;
  readonly signature: string;
  readonly verdict: SignatureVerdict;
}

/** So many manifests beside an image are read; more would be an attack on the reader. */
const MANIFEST_LIMIT = 32;

/** Every signature of the image with what the keys say to it; each once, though it may lie in both places. */
export async function findSignatures(
  source: SignatureSource,
  image: { readonly repository: string; readonly digest: Digest },
  keys: readonly SigningKey[],
): Promise<readonly FoundSignature[]> {
  const found = new Map<string, FoundSignature>();
  for (const [manifest, place] of await manifestsOf(source, image)) {
    const bytes = await source.readManifest(image.repository, manifest);
    const layers = bytes === undefined ? undefined : parseSignatureManifest(bytes);
    for (const { payload, signature } of layers ?? []) {
      const name = `${payload} ${signature}`;
      if (found.has(name)) continue;
      const content = await source.readBlob(image.repository, payload);
      const verdict: SignatureVerdict =
        content === undefined
          ? { kind: 'invalid', reason: 'its payload is missing' }
          : verifySignature({ payload: content, signature }, keys, image);
      found.set(name, { place, payload, signature, verdict });
    }
  }
  return [...found.values()];
}

async function manifestsOf(
  source: SignatureSource,
  { repository, digest }: { readonly repository: string; readonly digest: Digest },
): Promise<ReadonlyMap<Digest, string>> {
  const tag = signatureTag(digest);
  const tagged = tag === undefined ? undefined : await source.resolveTag(repository, tag);
  const manifests = new Map<Digest, string>(tagged === undefined ? [] : [[tagged, tag ?? '']]);
  for (const referrer of await source.listSignatureReferrers(repository, digest)) {
    if (manifests.size >= MANIFEST_LIMIT) break;
    if (!manifests.has(referrer)) manifests.set(referrer, referrer);
  }
  return manifests;
}
