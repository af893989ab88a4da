// The final tree of an image: names that point to inodes, as in a file system, so that hard links are names of one inode.
// Names, link targets and attributes are byte strings (one character per byte). Compact: an image has 200,000 of these.
import type { PaxRecord } from './pax-records.ts';

export interface InodeMetadata {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  /** Attribute and value, sorted; undefined where there is none. */
  readonly xattrs: readonly PaxRecord[] | undefined;
}

export interface FileInode extends InodeMetadata {
  readonly kind: 'file';
  readonly sizeBytes: number;
  /** Where the contents are: the layer, and which entry of it. */
  readonly layer: number;
  readonly ordinal: number;
  /** Set for small files whose names the scan was told to capture. */
  content: Buffer | undefined;
}

export interface DirectoryInode extends InodeMetadata {
  readonly kind: 'directory';
  readonly children: Map<string, TreeEntry>;
}

interface SymlinkInode extends InodeMetadata {
  readonly kind: 'symlink';
  readonly target: string;
}

interface DeviceInode extends InodeMetadata {
  readonly kind: 'character-device' | 'block-device';
  readonly major: number;
  readonly minor: number;
}

interface FifoInode extends InodeMetadata {
  readonly kind: 'fifo';
}

export type Inode = FileInode | DirectoryInode | SymlinkInode | DeviceInode | FifoInode;

/** One name. The root has the name '' and no parent. `inode`, `layer` and a directory's children change while the tree is built. */
export interface TreeEntry {
  readonly name: string;
  readonly parent: TreeEntry | undefined;
  inode: Inode;
  /** The last layer that wrote this name or something below it. */
  layer: number;
}

export interface FileTree {
  /** Its inode is a directory. It is not in the tar that comes out (see writeTree). */
  readonly root: TreeEntry;
  /** Inodes that have, or once had, more than one name. */
  readonly hardLinked: ReadonlySet<Inode>;
  /** Entries in each layer's tar, by which the second pass knows that it reads the same layers. */
  readonly layerEntries: readonly number[];
}

/** The path of an entry without a leading slash, a byte string; '' for the root. */
export function entryPath(entry: TreeEntry): string {
  const names: string[] = [];
  for (let at: TreeEntry = entry; at.parent !== undefined; at = at.parent) names.push(at.name);
  return names.reverse().join('/');
}
