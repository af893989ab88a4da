// The second pass over the layers: the contents of chosen files of the tree, in the order in which the layers have them, and
// teed to whoever asked for one. Reads no further than the last chosen file of each layer.
import type { Writable } from 'node:stream';
import { AppError } from '../../errors.ts';
import type { FileTree, TreeEntry } from './file-tree.ts';
import type { LayerSource } from './layer-source.ts';
import { TarReader } from './tar-reader.ts';

/** A file of the tree, and where its contents are to go as well. The sink has to be read, or everything waits for it. */
export interface Tap {
  readonly entry: TreeEntry;
  readonly sink: Writable;
}

export type ContentEvent =
  | { readonly kind: 'file'; readonly entry: TreeEntry }
  | { readonly kind: 'data'; readonly bytes: Buffer }
  | { readonly kind: 'end'; readonly entry: TreeEntry };

/** The chosen files by layer and by their place in the layer's tar. */
export class ContentPlan {
  private readonly layers: { readonly files: (TreeEntry | undefined)[]; count: number }[];

  constructor(tree: FileTree) {
    this.layers = tree.layerEntries.map((entries) => ({ files: Array<TreeEntry | undefined>(entries), count: 0 }));
  }

  /** Once per inode; what is no file is passed over. */
  add(entry: TreeEntry): void {
    if (entry.inode.kind !== 'file') return;
    const layer = this.layers[entry.inode.layer];
    if (layer === undefined) return;
    if (layer.files[entry.inode.ordinal] === undefined) layer.count += 1;
    layer.files[entry.inode.ordinal] = entry;
  }

  count(layer: number): number {
    return this.layers[layer]?.count ?? 0;
  }

  at(layer: number, ordinal: number): TreeEntry | undefined {
    return this.layers[layer]?.files[ordinal];
  }
}

/** Fails as a source or a sink fails, and with `digest-mismatch` where a layer is not what the tree was made from. */
export async function* readContents(
  plan: ContentPlan,
  layers: readonly LayerSource[],
  taps: readonly Tap[],
): AsyncGenerator<ContentEvent, void> {
  // A sink's failure ends the pass by way of its write; its own event must not end the process.
  for (const { sink } of taps) sink.on('error', ignore);
  try {
    for (const [index, layer] of layers.entries()) yield* readLayer(index, layer, plan, taps);
  } finally {
    closeSinks(taps);
  }
}

/** Ends the wait for sinks whose files did not come to their end. */
export function closeSinks(taps: readonly Tap[]): void {
  for (const { sink } of taps) {
    if (!sink.writableFinished) sink.on('error', ignore).destroy(new Error('The layers were not read to their end'));
  }
}

/** Streams the wanted files alone to their sinks. */
export async function extractFiles(
  tree: FileTree,
  layers: readonly LayerSource[],
  taps: readonly Tap[],
): Promise<void> {
  const plan = new ContentPlan(tree);
  for (const { entry } of taps) plan.add(entry);
  for await (const _ of readContents(plan, layers, taps)) ignore();
}

async function* readLayer(
  index: number,
  layer: LayerSource,
  plan: ContentPlan,
  taps: readonly Tap[],
): AsyncGenerator<ContentEvent, void> {
  let left = plan.count(index);
  if (left === 0) return;
  const reader = new TarReader();
  const chunks: AsyncIterable<Buffer> = layer.open();
  let ordinal = -1;
  let current: TreeEntry | undefined;
  let sinks: Writable[] = [];
  for await (const chunk of chunks) {
    for (const event of reader.push(chunk)) {
      if (event.kind === 'entry') {
        ordinal += 1;
        current = plan.at(index, ordinal);
        if (current === undefined) continue;
        const { inode } = current;
        if (inode.kind !== 'file' || event.entry.type !== 'file' || event.entry.sizeBytes !== inode.sizeBytes)
          throw changed(index);
        sinks = taps.filter((tap) => tap.entry.inode === inode).map((tap) => tap.sink);
        yield { kind: 'file', entry: current };
      } else if (current !== undefined && event.kind === 'data') {
        for (const sink of sinks) await write(sink, event.bytes);
        yield event;
      } else if (current !== undefined) {
        for (const sink of sinks) await end(sink);
        yield { kind: 'end', entry: current };
        current = undefined;
        left -= 1;
        if (left === 0) return;
      }
    }
  }
  throw changed(index);
}

function write(sink: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    sink.write(bytes, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

function end(sink: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    // Once destroyed, a stream never calls back.
    if (sink.destroyed) reject(sink.errored ?? new Error('A sink was closed before its file was complete'));
    sink.once('error', reject);
    sink.once('close', resolve);
    sink.end(resolve);
  });
}

function changed(index: number): AppError {
  return new AppError('digest-mismatch', `Layer ${index + 1} is not what it was when it was scanned`);
}

function ignore(): void {
  // Nothing to do.
}
