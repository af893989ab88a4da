// The tree as one tar stream for sqfstar: the same layers always give the same bytes. First all that has no contents, by
// path, so that a directory stands before what it holds; then files as the layers have them, each with its other names behind.
import { Readable } from 'node:stream';
import { encodeEntry, encodeHardLink, TAR_END, tarPadding } from './encode-tar-header.ts';
import { entryPath, type FileTree, type Inode, type TreeEntry } from './file-tree.ts';
import { sortedChildren } from './find-in-tree.ts';
import type { LayerSource } from './layer-source.ts';
import { closeSinks, ContentPlan, readContents, type Tap } from './read-contents.ts';

/** Pieces that leave at once: small ones would cost a turn of the event loop each. */
const BATCH_BYTES = 256 * 1024;

/**
 * `layers` are those that the tree was scanned from. The root itself is not in the tar: squashfs-tools 4.5 pass over it, take
 * `-root-mode`, `-root-uid` and `-root-gid`, and give it the present time, which whoever packs has to put right.
 * Destroying the stream closes the layers and the sinks.
 */
export function writeTree(tree: FileTree, layers: readonly LayerSource[], taps: readonly Tap[] = []): Readable {
  return new TarStream(tarOf(tree, layers, taps), taps);
}

/** Not Readable.from: that waits for its generator, which may wait for a sink that nobody reads any more. */
class TarStream extends Readable {
  private readonly pieces: AsyncGenerator<Buffer, void>;
  private readonly taps: readonly Tap[];

  constructor(pieces: AsyncGenerator<Buffer, void>, taps: readonly Tap[]) {
    super({ highWaterMark: BATCH_BYTES });
    this.pieces = pieces;
    this.taps = taps;
  }

  override _read(): void {
    this.pieces.next().then(
      ({ value }) => this.push(value ?? null),
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    closeSinks(this.taps);
    const closed = () => {
      done(error);
    };
    this.pieces.return().then(closed, closed);
  }
}

async function* tarOf(
  tree: FileTree,
  layers: readonly LayerSource[],
  taps: readonly Tap[],
): AsyncGenerator<Buffer, void> {
  const batch = new Batch();
  const plan = new ContentPlan(tree);
  const names = new Map<Inode, TreeEntry[]>();
  for (const entry of entriesByPath(tree.root)) {
    const { inode } = entry;
    const first = names.get(inode)?.[0];
    if (first !== undefined && inode.kind !== 'file')
      batch.add(encodeHardLink(entryPath(entry), entryPath(first), inode));
    else if (first !== undefined) names.get(inode)?.push(entry);
    else if (inode.kind === 'file') plan.add(entry);
    else batch.add(encodeEntry(entryPath(entry), inode));
    if (first === undefined && tree.hardLinked.has(inode)) names.set(inode, [entry]);
    if (batch.isFull()) yield batch.take();
  }
  for await (const event of readContents(plan, layers, taps)) {
    if (event.kind === 'data') batch.add(event.bytes);
    else if (event.kind === 'file') batch.add(encodeEntry(entryPath(event.entry), event.entry.inode));
    else endFile(event.entry, names.get(event.entry.inode) ?? [], batch);
    if (batch.isFull()) yield batch.take();
  }
  batch.add(TAR_END);
  yield batch.take();
}

function endFile(entry: TreeEntry, [first, ...others]: readonly TreeEntry[], batch: Batch): void {
  if (entry.inode.kind === 'file') batch.add(tarPadding(entry.inode.sizeBytes));
  if (first === undefined) return;
  for (const other of others) batch.add(encodeHardLink(entryPath(other), entryPath(first), other.inode));
}

/** Everything below the root, directories before their children, children by name. */
function* entriesByPath(root: TreeEntry): Generator<TreeEntry, void> {
  const pending = sortedChildren(root).reverse();
  for (let entry = pending.pop(); entry !== undefined; entry = pending.pop()) {
    yield entry;
    for (const child of sortedChildren(entry).reverse()) pending.push(child);
  }
}

class Batch {
  private pieces: Buffer[] = [];
  private sizeBytes = 0;

  add(piece: Buffer): void {
    this.pieces.push(piece);
    this.sizeBytes += piece.length;
  }

  isFull(): boolean {
    return this.sizeBytes >= BATCH_BYTES;
  }

  take(): Buffer {
    const [only, ...more] = this.pieces;
    const taken = only !== undefined && more.length === 0 ? only : Buffer.concat(this.pieces);
    this.pieces = [];
    this.sizeBytes = 0;
    return taken;
  }
}
