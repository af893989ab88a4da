// Names as layers have them, made into components: `./`, doubled and trailing slashes fall away; `..` is refused, and so is a
// leading slash where no tool writes one. Pure.
import { FlattenRefusal, quoteName } from './flatten-refusal.ts';

/** Linux NAME_MAX, also squashfs's limit. */
const MAX_COMPONENT_BYTES = 255;
/** Linux PATH_MAX without its final NUL. */
export const MAX_PATH_BYTES = 4095;

/**
 * Components of an entry's name; none for the root itself. Tar names are relative: what says `/etc/passwd` means the host's.
 * kaniko alone writes a bare `/`, for the mode of the root (pkg/util/tar_util.go, AddFileToTar).
 */
export function entryComponents(name: string): string[] {
  if (name.startsWith('/') && name !== '/') {
    throw new FlattenRefusal('absolute-name', `${quoteName(name)} is an absolute name`);
  }
  return components(name);
}

/**
 * Components of a hard link's target. An absolute one begins at the image's root, as container runtimes have it: kaniko writes
 * them (pkg/util/tar_util.go, checkHardlink).
 */
export function hardLinkComponents(target: string): string[] {
  return components(target);
}

function components(name: string): string[] {
  verifyCharacters(name);
  const found = name.split('/').filter((component) => component !== '' && component !== '.');
  for (const component of found) {
    if (component === '..') throw new FlattenRefusal('path-escape', `${quoteName(name)} climbs out by ".."`);
    if (component.length > MAX_COMPONENT_BYTES) {
      throw new FlattenRefusal(
        'name-too-long',
        `${quoteName(name)} has a component of more than ${MAX_COMPONENT_BYTES} bytes`,
      );
    }
  }
  return found;
}

/** A name or a symbolic link's target: not empty, not endless, and no character that breaks line-based tools. */
export function verifyCharacters(name: string): void {
  if (name === '') throw new FlattenRefusal('empty-name', 'An entry has no name or no target');
  if (name.length > MAX_PATH_BYTES) {
    throw new FlattenRefusal('name-too-long', `${quoteName(name)} is longer than ${MAX_PATH_BYTES} bytes`);
  }
  if (name.includes('\0') || name.includes('\n')) {
    throw new FlattenRefusal('forbidden-character', `${quoteName(name)} has a NUL or a line feed in it`);
  }
}

export type NameRole =
  | { readonly kind: 'entry' | 'ignored' }
  | { readonly kind: 'opaque' }
  | { readonly kind: 'whiteout'; readonly hidden: string };

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** What aufs keeps for itself in a layer; runtimes pass over it. */
const AUFS_PRIVATE = '.wh..wh.';

/** Which part a name plays (OCI image-spec, layer.md "Whiteouts"). */
export function nameRole(components: readonly string[]): NameRole {
  const last = components.at(-1) ?? '';
  const inside = components.slice(0, -1);
  const full = components.join('/');
  if (inside.some((component) => component.startsWith(AUFS_PRIVATE))) return { kind: 'ignored' };
  if (inside.some((component) => component.startsWith(WHITEOUT))) {
    throw new FlattenRefusal('bad-whiteout', `${quoteName(full)} lies inside a whiteout`);
  }
  if (last === OPAQUE) return { kind: 'opaque' };
  if (last.startsWith(AUFS_PRIVATE)) return { kind: 'ignored' };
  if (!last.startsWith(WHITEOUT)) return { kind: 'entry' };
  const hidden = last.slice(WHITEOUT.length);
  if (hidden === '') throw new FlattenRefusal('bad-whiteout', `${quoteName(full)} hides nothing`);
  if (hidden === '.' || hidden === '..') {
    throw new FlattenRefusal('whiteout-escape', `${quoteName(full)} would hide ${quoteName(hidden)}`);
  }
  return { kind: 'whiteout', hidden };
}
