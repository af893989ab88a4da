// Where an image lies: docker://host[:port]/name[:tag|@digest]. Pure.
import { parseDigest, type Digest } from '../images/digest.ts';
import { IMAGE_NAME_PATTERN, TAG_PATTERN } from '../images/image-reference.ts';

export interface RegistryAddress {
  /** `host` or `host:port`. */
  readonly host: string;
  readonly repository: string;
  readonly reference: { readonly tag: string } | { readonly digest: Digest };
}

/** Undefined where the text is none. Names stand as written: there is no registry and no folder by default. */
export function parseRegistryAddress(text: string): RegistryAddress | undefined {
  const [, host = '', path = ''] =
    /^docker:\/\/((?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?)\/(.+)$/.exec(text) ?? [];
  const [, repository = '', tag, digestText] = /^([^:@]+)(?::([^:@]+))?(?:@(.+))?$/.exec(path) ?? [];
  if (host === '' || !IMAGE_NAME_PATTERN.test(repository)) return undefined;
  if (tag !== undefined && !TAG_PATTERN.test(tag)) return undefined;
  // As all clients do: where both are given the digest says which, and the tag is for people.
  if (digestText === undefined) return { host, repository, reference: { tag: tag ?? 'latest' } };
  const digest = parseDigest(digestText);
  return digest === undefined ? undefined : { host, repository, reference: { digest } };
}
