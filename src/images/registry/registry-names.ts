// Names that clients of the registry give: repository, tag or digest, upload. Pure.
import { parseDigest, type Digest } from '../digest.ts';
import { parseImageReference, TAG_PATTERN } from '../image-reference.ts';
import { refused, type Refused } from './registry-outcome.ts';

export type ManifestReference =
  { readonly kind: 'tag'; readonly tag: string } | { readonly kind: 'digest'; readonly digest: Digest };

/** The refusal where this is not the name of a repository. */
export function refuseName(repository: string): Refused | undefined {
  if (parseImageReference(repository)?.name === repository) return undefined;
  return refused(
    'NAME_INVALID',
    'A repository has a name like fleet/os: lower-case words and digits between . _ - and /.',
  );
}

export function parseManifestReference(text: string): ManifestReference | undefined {
  const digest = parseDigest(text);
  if (digest !== undefined) return { kind: 'digest', digest };
  return isTag(text) ? { kind: 'tag', tag: text } : undefined;
}

export function isTag(text: string): boolean {
  return TAG_PATTERN.test(text);
}

export function invalidDigest(): Refused {
  return refused('DIGEST_INVALID', 'A digest is sha256: with 64 or sha512: with 128 lower-case hexadecimal digits.');
}
