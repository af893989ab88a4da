// Applies the entries of layers, bottom-up, to one tree, as container runtimes do when they unpack (OCI image-spec, layer.md
// "Applying Changesets"). In memory; throws FlattenRefusal for what no tree can be made of.
import { entryComponents, hardLinkComponents, MAX_PATH_BYTES, nameRole, verifyCharacters } from './entry-name.ts';
import {
  entryPath,
  type DirectoryInode,
  type FileTree,
  type Inode,
  type InodeMetadata,
  type TreeEntry,
} from './file-tree.ts';
import type { FlattenLimits } from './flatten-limits.ts';
import { FlattenRefusal, quoteName } from './flatten-refusal.ts';
import type { PaxRecord } from './pax-records.ts';
import type { TarEntry } from './tar-entry.ts';
import { walkPath, type WalkOptions, type WalkOutcome } from './walk-path.ts';

/** A parent directory that no layer describes; a fixed time, so that the same layers give the same tree. */
const IMPLIED: InodeMetadata = { mode: 0o755, uid: 0, gid: 0, mtimeSeconds: 0, xattrs: undefined };

/** What V8 takes for one beside its text, measured: so that no image needs more heap than the thread that packs it has. */
const XATTR_OVERHEAD_BYTES = 200;
const DIRECTORY_OVERHEAD_BYTES = 200;

export class TreeBuilder {
  private readonly limits: FlattenLimits;
  private readonly root: TreeEntry = { name: '', parent: undefined, inode: directory(IMPLIED, new Map()), layer: 0 };
  private readonly hardLinked = new Set<Inode>();
  private readonly layerEntries: number[] = [];
  private readonly xattrLists = new Map<string, readonly PaxRecord[]>();
  private layer = -1;
  private ordinal = -1;
  private entries = 0;
  private metadataBytes = 0;

  constructor(limits: FlattenLimits) {
    this.limits = limits;
  }

  beginLayer(): void {
    this.layer += 1;
    this.ordinal = -1;
    this.layerEntries.push(0);
  }

  /** Applies the next entry of the layer; the inode that it made, if it made one. */
  add(entry: TarEntry): Inode | undefined {
    this.ordinal += 1;
    this.layerEntries[this.layer] = this.ordinal + 1;
    this.countEntry();
    this.chargeMetadata(entry.name.length + entry.linkName.length);
    const components = entryComponents(entry.name);
    const role = nameRole(components);
    switch (role.kind) {
      case 'ignored':
        return undefined;
      case 'opaque':
        this.clear(components.slice(0, -1), entry.name);
        return undefined;
      case 'whiteout':
        this.hide(components.slice(0, -1), role.hidden, entry.name);
        return undefined;
      case 'entry':
        if (entry.type !== 'hard-link') return this.place(this.shareXattrs(entry), entry.type, components);
        this.link(entry, components);
        return undefined;
    }
  }

  /** Charges what stays in memory, and work that an image can cause with few bytes. */
  chargeMetadata(bytes: number): void {
    this.metadataBytes += bytes;
    if (this.metadataBytes > this.limits.metadataBytes) {
      throw new FlattenRefusal(
        'metadata-too-large',
        `Names, attributes and directories take more than ${this.limits.metadataBytes} bytes`,
      );
    }
  }

  /** Files with the same attributes have one list of them: with SELinux every file has its label, and there are few labels. */
  private shareXattrs(entry: TarEntry): TarEntry {
    if (entry.xattrs === undefined) return entry;
    const key = entry.xattrs.map(([name, value]) => `${name}\0${value.length}\0${value}`).join('');
    const known = this.xattrLists.get(key);
    if (known !== undefined) return { ...entry, xattrs: known };
    this.chargeMetadata(2 * key.length + entry.xattrs.length * XATTR_OVERHEAD_BYTES);
    this.xattrLists.set(key, entry.xattrs);
    return entry;
  }

  finish(): FileTree {
    return { root: this.root, hardLinked: this.hardLinked, layerEntries: this.layerEntries };
  }

  private place(entry: TarEntry, type: Exclude<TarEntry['type'], 'hard-link'>, components: readonly string[]): Inode {
    const name = components.at(-1);
    if (name === undefined) {
      if (type !== 'directory')
        throw new FlattenRefusal('empty-name', `${quoteName(entry.name)} would replace the root`);
      this.describe(this.root, entry);
      return this.root.inode;
    }
    const parent = this.openDirectory(components.slice(0, -1), entry.name);
    const existing = parent.inode.children.get(name);
    if (type === 'directory' && existing?.inode.kind === 'directory') {
      this.describe(existing, entry);
      return existing.inode;
    }
    return this.put(parent, name, this.inodeOf(entry, type)).inode;
  }

  // Plain literals, all fields at once: objects that are spread together take half as much again in V8.
  private inodeOf(entry: TarEntry, type: Exclude<TarEntry['type'], 'hard-link'>): Inode {
    const { mode, uid, gid, mtimeSeconds, xattrs } = entry;
    switch (type) {
      case 'file': {
        const { sizeBytes } = entry;
        const { layer, ordinal } = this;
        return { kind: 'file', mode, uid, gid, mtimeSeconds, xattrs, sizeBytes, layer, ordinal, content: undefined };
      }
      case 'directory':
        return directory(entry, new Map());
      case 'symlink':
        verifyCharacters(entry.linkName);
        return { kind: 'symlink', mode: 0o777, uid, gid, mtimeSeconds, xattrs, target: entry.linkName };
      case 'character-device':
      case 'block-device':
        return { kind: type, mode, uid, gid, mtimeSeconds, xattrs, major: entry.major, minor: entry.minor };
      case 'fifo':
        return { kind: 'fifo', mode, uid, gid, mtimeSeconds, xattrs };
    }
  }

  /** A hard link takes the file that has the target's name at this moment, whichever layer it is of; its own metadata is void. */
  private link(entry: TarEntry, components: readonly string[]): void {
    const target = this.walk(hardLinkComponents(entry.linkName), { followLast: false }, entry.name);
    const between = `${quoteName(entry.name)} is a hard link to ${quoteName(entry.linkName)}`;
    if (target.kind === 'symlink-loop')
      throw new FlattenRefusal('symlink-loop', `${between}, behind a loop of symbolic links`);
    if (target.kind !== 'found') throw new FlattenRefusal('dangling-hard-link', `${between}, which does not exist`);
    const { inode } = target.entry;
    if (inode.kind === 'directory') throw new FlattenRefusal('hard-link-to-directory', `${between}, a directory`);
    const name = components.at(-1);
    if (name === undefined) throw new FlattenRefusal('empty-name', `${quoteName(entry.name)} would replace the root`);
    const parent = this.openDirectory(components.slice(0, -1), entry.name);
    this.put(parent, name, inode);
    this.hardLinked.add(inode);
  }

  private hide(directoryOf: readonly string[], hiddenName: string, whiteout: string): void {
    const parent = this.walk(directoryOf, { followLast: true }, whiteout);
    if (parent.kind !== 'found' || parent.entry.inode.kind !== 'directory') return;
    const hidden = parent.entry.inode.children.get(hiddenName);
    if (hidden === undefined) return;
    if (hidden.layer < this.layer) parent.entry.inode.children.delete(hiddenName);
    else this.removeLower(hidden);
  }

  private clear(components: readonly string[], mark: string): void {
    const found = this.walk(components, { followLast: true }, mark);
    if (found.kind === 'found') this.removeLower(found.entry);
  }

  /** Whiteouts hide lower layers only: what this layer itself wrote stays, wherever the whiteout stands in it. */
  private removeLower(top: TreeEntry): void {
    const pending = [top];
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      if (at.inode.kind !== 'directory') continue;
      for (const [name, child] of at.inode.children) {
        if (child.layer < this.layer) at.inode.children.delete(name);
        else pending.push(child);
      }
    }
  }

  /** The directory that an entry goes into: through symbolic links, but never out of the root; made where it is missing. */
  private openDirectory(components: readonly string[], name: string): TreeEntry & { readonly inode: DirectoryInode } {
    const create = (parent: TreeEntry, child: string) => {
      if (!isDirectory(parent)) throw notADirectory(name);
      this.countEntry();
      return this.put(parent, child, directory(IMPLIED, new Map()));
    };
    const outcome = this.walk(components, { followLast: true, create }, name);
    if (outcome.kind === 'symlink-loop') {
      throw new FlattenRefusal('symlink-loop', `${quoteName(name)} lies behind a loop of symbolic links`);
    }
    if (outcome.kind !== 'found' || !isDirectory(outcome.entry)) throw notADirectory(name);
    return outcome.entry;
  }

  private walk(
    components: readonly string[],
    options: Pick<WalkOptions, 'followLast' | 'create'>,
    name: string,
  ): WalkOutcome {
    const onSymlink = (target: string) => {
      this.chargeMetadata(target.length);
    };
    const onClimb = () => {
      throw new FlattenRefusal(
        'symlink-escape',
        `${quoteName(name)} goes through a symbolic link that climbs out of the root`,
      );
    };
    return walkPath(this.root, components, { ...options, onSymlink, onClimb });
  }

  private put(parent: TreeEntry & { readonly inode: DirectoryInode }, name: string, inode: Inode): TreeEntry {
    if (inode.kind === 'directory') this.chargeMetadata(DIRECTORY_OVERHEAD_BYTES);
    // A copy: a part of a split string would keep the whole path in memory.
    const own = Buffer.from(name, 'latin1').toString('latin1');
    const entry: TreeEntry = { name: own, parent, inode, layer: this.layer };
    if (inode.kind === 'directory' && entryPath(entry).length > MAX_PATH_BYTES) {
      throw new FlattenRefusal(
        'name-too-long',
        `${quoteName(name)} would lie deeper than ${MAX_PATH_BYTES} bytes of path`,
      );
    }
    parent.inode.children.set(own, entry);
    this.touch(parent);
    return entry;
  }

  private describe(entry: TreeEntry, tar: TarEntry): void {
    if (isDirectory(entry)) entry.inode = directory(tar, entry.inode.children);
    this.touch(entry);
  }

  /** Marks a name and all directories above it as written by this layer. */
  private touch(entry: TreeEntry): void {
    for (let at: TreeEntry | undefined = entry; at !== undefined && at.layer < this.layer; at = at.parent)
      at.layer = this.layer;
  }

  private countEntry(): void {
    this.entries += 1;
    if (this.entries > this.limits.entries) {
      throw new FlattenRefusal('too-many-entries', `The layers have more than ${this.limits.entries} entries`);
    }
  }
}

function isDirectory(entry: TreeEntry): entry is TreeEntry & { inode: DirectoryInode } {
  return entry.inode.kind === 'directory';
}

function notADirectory(name: string): FlattenRefusal {
  return new FlattenRefusal('parent-not-a-directory', `${quoteName(name)} lies in something that is no directory`);
}

function directory(metadata: InodeMetadata, children: DirectoryInode['children']): DirectoryInode {
  const { mode, uid, gid, mtimeSeconds, xattrs } = metadata;
  return { kind: 'directory', mode, uid, gid, mtimeSeconds, xattrs, children };
}
