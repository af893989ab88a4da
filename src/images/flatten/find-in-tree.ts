// Looking things up in an image's tree, as the booted machine would see it: paths are ordinary text with or without a leading
// slash, symbolic links are followed inside the image only.
import { entryPath, type FileTree, type TreeEntry } from './file-tree.ts';
import { walkPath, type WalkOutcome } from './walk-path.ts';

/** The entry that a path leads to, through symbolic links (also a last one); or why it leads nowhere. */
export function resolvePath(tree: FileTree, path: string): WalkOutcome {
  return walkPath(tree.root, byteString(path).split('/'), { followLast: true });
}

/** Entries of the directory at a path, in byte order of their names; empty where there is no directory. */
export function listDirectory(tree: FileTree, path: string): readonly TreeEntry[] {
  const outcome = resolvePath(tree, path);
  return outcome.kind === 'found' ? sortedChildren(outcome.entry) : [];
}

/** Children in byte order of their names; none where the entry is no directory. */
export function sortedChildren(entry: TreeEntry): TreeEntry[] {
  if (entry.inode.kind !== 'directory') return [];
  return [...entry.inode.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The contents of a small file that the scan captured, as UTF-8; undefined where it is no such file. */
export function readCaptured(tree: FileTree, path: string): string | undefined {
  const outcome = resolvePath(tree, path);
  if (outcome.kind !== 'found' || outcome.entry.inode.kind !== 'file') return undefined;
  return outcome.entry.inode.content?.toString('utf8');
}

/** An entry's path for people and for comparing: `/boot/vmlinuz-6.1`. */
export function displayPath(entry: TreeEntry): string {
  return `/${Buffer.from(entryPath(entry), 'latin1').toString('utf8')}`;
}

function byteString(path: string): string {
  return Buffer.from(path, 'utf8').toString('latin1');
}
