// The first pass: reads every layer once, bottom-up, and gives the tree they make together, or why they make none.
import type { Inode, FileTree } from './file-tree.ts';
import { DEFAULT_FLATTEN_LIMITS, MAX_CAPTURED_BYTES, type FlattenLimits } from './flatten-limits.ts';
import { FlattenRefusal, type FlattenRefusalReason } from './flatten-refusal.ts';
import { CorruptLayerError, type LayerSource } from './layer-source.ts';
import { TarReader } from './tar-reader.ts';
import { TreeBuilder } from './tree-builder.ts';

export type ScanOutcome =
  | { readonly kind: 'tree'; readonly tree: FileTree }
  | { readonly kind: 'refused'; readonly reason: FlattenRefusalReason; readonly detail: string };

export interface ScanOptions {
  readonly limits?: FlattenLimits;
  /** Last components of names whose small files' contents are kept (`os-release`), so that nobody has to read a layer for them. */
  readonly capture?: ReadonlySet<string>;
}

/** Layers come lowest first. Fails only as the sources themselves fail; what is wrong with the image is a refusal. */
export async function scanLayers(layers: readonly LayerSource[], options: ScanOptions = {}): Promise<ScanOutcome> {
  const scan = new Scan(options.limits ?? DEFAULT_FLATTEN_LIMITS, options.capture ?? new Set());
  for (const [index, layer] of layers.entries()) {
    try {
      await scan.read(layer);
    } catch (error) {
      const where = `layer ${index + 1} of ${layers.length}`;
      if (error instanceof FlattenRefusal)
        return { kind: 'refused', reason: error.reason, detail: `${error.message} (${where})` };
      if (error instanceof CorruptLayerError) {
        return { kind: 'refused', reason: 'corrupt-layer', detail: `${error.message} (${where})` };
      }
      throw error;
    }
  }
  return { kind: 'tree', tree: scan.builder.finish() };
}

class Scan {
  readonly builder: TreeBuilder;
  private readonly limits: FlattenLimits;
  private readonly capture: ReadonlySet<string>;
  private imageBytes = 0;
  private capturing: { readonly inode: Inode & { kind: 'file' }; readonly pieces: Buffer[] } | undefined;

  constructor(limits: FlattenLimits, capture: ReadonlySet<string>) {
    this.limits = limits;
    this.capture = capture;
    this.builder = new TreeBuilder(limits);
  }

  async read(layer: LayerSource): Promise<void> {
    const reader = new TarReader();
    const chunks: AsyncIterable<Buffer> = layer.open();
    let layerBytes = 0;
    this.builder.beginLayer();
    for await (const chunk of chunks) {
      layerBytes += chunk.length;
      this.countBytes(chunk.length);
      this.judgeLayer(layerBytes, layer.compressedBytes);
      this.consume(reader, chunk);
    }
    reader.finish();
  }

  private consume(reader: TarReader, chunk: Buffer): void {
    for (const event of reader.push(chunk)) {
      switch (event.kind) {
        case 'entry': {
          const { entry } = event;
          if (entry.sizeBytes > this.limits.fileBytes) {
            throw new FlattenRefusal(
              'file-too-large',
              `A file has ${entry.sizeBytes} bytes, more than ${this.limits.fileBytes}`,
            );
          }
          this.countBytes(Math.max(0, entry.sizeBytes - entry.storedBytes));
          const inode = this.builder.add(entry);
          this.capturing =
            inode?.kind === 'file' && this.isCaptured(entry.name, entry.sizeBytes) ? { inode, pieces: [] } : undefined;
          break;
        }
        case 'data':
          // A copy: the piece is part of a chunk of a quarter MiB.
          this.capturing?.pieces.push(Buffer.from(event.bytes));
          break;
        case 'end':
          if (this.capturing !== undefined) this.capturing.inode.content = Buffer.concat(this.capturing.pieces);
          this.capturing = undefined;
          break;
      }
    }
  }

  private isCaptured(name: string, sizeBytes: number): boolean {
    if (sizeBytes > MAX_CAPTURED_BYTES || !this.capture.has(name.slice(name.lastIndexOf('/') + 1))) return false;
    this.builder.chargeMetadata(sizeBytes);
    return true;
  }

  private countBytes(bytes: number): void {
    this.imageBytes += bytes;
    if (this.imageBytes > this.limits.imageBytes) {
      throw new FlattenRefusal('image-too-large', `The layers unpack to more than ${this.limits.imageBytes} bytes`);
    }
  }

  private judgeLayer(layerBytes: number, compressedBytes: number): void {
    const { limits } = this;
    if (layerBytes > limits.layerBytes) {
      throw new FlattenRefusal('layer-too-large', `A layer unpacks to more than ${limits.layerBytes} bytes`);
    }
    if (layerBytes > limits.ratioFreeBytes && layerBytes > compressedBytes * limits.compressionRatio) {
      throw new FlattenRefusal(
        'compression-ratio',
        `A layer unpacks to more than ${limits.compressionRatio} times its size`,
      );
    }
  }
}
