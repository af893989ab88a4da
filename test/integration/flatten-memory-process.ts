// Flattens an image of many entries in a process of its own, and prints what it took. Started by flatten-memory.test.ts.
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { LayerSource } from '../../src/images/flatten/layer-source.ts';
import { scanLayers } from '../../src/images/flatten/scan-layers.ts';
import { writeTree } from '../../src/images/flatten/write-tree.ts';
import { aDirectory, aFile, rawEntry, TAR_END_MARK } from '../support/layer-builders.ts';

const [entries = 0, layerCount = 1] = process.argv.slice(2).map(Number);

/** Directories of a hundred files, beside each other; a piece for each directory. */
function* layerBytes(layer: number): Generator<Buffer, void> {
  const content = Buffer.alloc(100, 'x');
  for (let number = 0; number < entries / layerCount; number += 100) {
    const directory = `usr/share/layer-${layer}/directory-${number}`;
    const files = Array.from({ length: 99 }, (_, file) =>
      aFile(`${directory}/file-${number + file}-of-some-package`, content),
    );
    yield Buffer.concat([aDirectory(directory), ...files].map(rawEntry));
  }
  yield TAR_END_MARK;
}

const layers: LayerSource[] = Array.from({ length: layerCount }, (_, layer) => ({
  compressedBytes: 1_000_000_000,
  open: () => Readable.from(layerBytes(layer), { objectMode: false }),
}));

const outcome = await scanLayers(layers);
globalThis.gc?.();
const heapBytes = process.memoryUsage().heapUsed;
let tarBytes = 0;
if (outcome.kind === 'tree') {
  const tar = writeTree(outcome.tree, layers).on('data', (chunk: Buffer) => {
    tarBytes += chunk.length;
  });
  await finished(tar);
}
const reason = outcome.kind === 'refused' ? outcome.reason : outcome.kind;
console.log(JSON.stringify({ reason, heapBytes, tarBytes, rssBytes: process.resourceUsage().maxRSS * 1024 }));
