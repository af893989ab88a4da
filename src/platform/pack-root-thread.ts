// The thread behind WorkerRootPacker: one job, then it ends.
import { createReadStream } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { AppError } from '../errors.ts';
import { packRoot } from '../images/conversion/pack-root.ts';
import { blobPath } from '../storage/files/file-operations.ts';
import { workFolderAt } from '../storage/files/file-workspace.ts';
import { decompressLayer } from './decompress-layer.ts';
import { openDecompressor } from './decompressors.ts';
import { MksquashfsWriter } from './mksquashfs-writer.ts';
import type { PackJob, PackReport } from './worker-root-packer.ts';

const READ_BYTES = 256 * 1024;
const REPORT_EVERY_BYTES = 4 * 1024 * 1024;

const { layers, folder, blobDirectory, processors } = workerData as PackJob;
const abort = new AbortController();
parentPort?.on('message', () => {
  abort.abort(new Error('Muster is ending.'));
});

let reportedBytes = 0;
try {
  const outcome = await packRoot(
    {
      ...{ layers, signal: abort.signal },
      folder: workFolderAt(folder, blobDirectory),
      onProgress: (progress) => {
        if (Math.abs(progress.doneBytes - reportedBytes) < REPORT_EVERY_BYTES) return;
        reportedBytes = progress.doneBytes;
        report({ kind: 'progress', progress });
      },
    },
    {
      blobs: { read: (digest) => createReadStream(blobPath(blobDirectory, digest), { highWaterMark: READ_BYTES }) },
      unpackLayer: decompressLayer,
      squashfs: new MksquashfsWriter({ processors }),
      openDecompressor,
    },
  );
  report({ kind: 'done', outcome });
} catch (error) {
  const code = error instanceof AppError ? error.code : 'internal';
  report({ kind: 'failed', code, message: error instanceof Error ? error.message : String(error) });
}

function report(message: PackReport): void {
  parentPort?.postMessage(message);
}
