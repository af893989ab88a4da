// How people and profiles name an image: NAME, NAME:TAG, NAME@CHANNEL or NAME@DIGEST. Pure.
import { parseDigest, type Digest } from './digest.ts';

/** Names as in OCI repositories, without a registry: `debian-12`, `fleet/os` (distribution-spec "Pulling manifests"). */
export const IMAGE_NAME_PATTERN = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
export const TAG_PATTERN = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
export const CHANNEL_PATTERN = /^[a-z][a-z0-9-]{0,31}$/;
const NAME_LIMIT = 200;
const DEFAULT_TAG = 'latest';

export type ImageReference = { readonly name: string } & (
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'channel'; readonly channel: string }
  | { readonly kind: 'digest'; readonly digest: Digest }
);

/** NAME alone means its tag `latest`. */
export function parseImageReference(text: string): ImageReference | undefined {
  const [, name = '', separator, rest = ''] = /^([^:@]+)(?:([:@])(.+))?$/.exec(text) ?? [];
  if (name.length > NAME_LIMIT || !IMAGE_NAME_PATTERN.test(name)) return undefined;
  if (separator === undefined) return { name, kind: 'tag', tag: DEFAULT_TAG };
  if (separator === ':') return TAG_PATTERN.test(rest) ? { name, kind: 'tag', tag: rest } : undefined;
  const digest = parseDigest(rest);
  if (digest !== undefined) return { name, kind: 'digest', digest };
  return CHANNEL_PATTERN.test(rest) ? { name, kind: 'channel', channel: rest } : undefined;
}

export function formatImageReference(reference: ImageReference): string {
  switch (reference.kind) {
    case 'tag':
      return `${reference.name}:${reference.tag}`;
    case 'channel':
      return `${reference.name}@${reference.channel}`;
    case 'digest':
      return `${reference.name}@${reference.digest}`;
  }
}

/** For people: a digest's first twelve digits tell images apart. */
export function shortReference(text: string): string {
  return text.replace(/@(sha\d+:[0-9a-f]{12})[0-9a-f]+$/, '@$1');
}
