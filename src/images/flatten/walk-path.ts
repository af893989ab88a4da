// The way along a path inside the tree, as a process confined to the root walks it: symbolic links are followed, absolute
// ones begin at the root, and `..` at the root stays there. So nothing ever leaves the tree.
import type { TreeEntry } from './file-tree.ts';

export type WalkOutcome =
  | { readonly kind: 'found'; readonly entry: TreeEntry }
  | { readonly kind: 'missing' | 'not-a-directory' | 'symlink-loop' };

export interface WalkOptions {
  /** Whether a symbolic link at the very end is followed too. */
  readonly followLast: boolean;
  /** Makes what is missing; without it, a missing name ends the walk. */
  readonly create?: (directory: TreeEntry, name: string) => TreeEntry;
  /** Told of each link target that is followed, for those who limit the work. */
  readonly onSymlink?: (target: string) => void;
  /** Told of a `..` at the root, for those who take it for an attempt to leave. */
  readonly onClimb?: () => void;
}

/** Linux follows 40 symbolic links in one path (path_resolution(7)). */
const MAX_SYMLINKS = 40;

export function walkPath(root: TreeEntry, components: readonly string[], options: WalkOptions): WalkOutcome {
  const pending = components.toReversed();
  let at = root;
  let symlinks = 0;
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (at.inode.kind !== 'directory') return { kind: 'not-a-directory' };
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (at.parent === undefined) options.onClimb?.();
      at = at.parent ?? root;
      continue;
    }
    const next = at.inode.children.get(name) ?? options.create?.(at, name);
    if (next === undefined) return { kind: 'missing' };
    if (next.inode.kind !== 'symlink' || (pending.length === 0 && !options.followLast)) {
      at = next;
      continue;
    }
    symlinks += 1;
    if (symlinks > MAX_SYMLINKS) return { kind: 'symlink-loop' };
    const { target } = next.inode;
    options.onSymlink?.(target);
    if (target.startsWith('/')) at = root;
    pending.push(...target.split('/').reverse());
  }
  return { kind: 'found', entry: at };
}
