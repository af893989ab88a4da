// The process behind ChildRootPacker: one job, then it ends; earlier where the server is gone.
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { setPriority } from 'node:os';
import { AppError } from '../errors.ts';
import { packRoot } from '../images/conversion/pack-root.ts';
import { blobPath } from '../storage/files/file-operations.ts';
import { workFolderAt } from '../storage/files/file-workspace.ts';
import type { PackJob, PackReport } from './child-root-packer.ts';
import { decompressLayer } from './decompress-layer.ts';
import { openDecompressor } from './decompressors.ts';
import { MksquashfsWriter } from './mksquashfs-writer.ts';

const READ_BYTES = 256 * 1024;
/** Machines that boot and people that push come first (nice(2)). */
const NICENESS = 10;
const REPORT_EVERY_BYTES = 4 * 1024 * 1024;

setPriority(NICENESS);
const [job] = (await once(process, 'message')) as [PackJob];
const { layers, folder, blobDirectory, processors } = job;
const abort = new AbortController();
// Whatever comes after the job means that it is to end: a message, or the silence of a server that was killed.
for (const event of ['message', 'disconnect'] as const)
  process.once(event, () => {
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
        void report({ kind: 'progress', progress });
      },
    },
    {
      blobs: { read: (digest) => createReadStream(blobPath(blobDirectory, digest), { highWaterMark: READ_BYTES }) },
      unpackLayer: decompressLayer,
      squashfs: new MksquashfsWriter({ processors }),
      openDecompressor,
    },
  );
  await report({ kind: 'done', outcome });
} catch (error) {
  const code = error instanceof AppError ? error.code : 'internal';
  await report({ kind: 'failed', code, message: error instanceof Error ? error.message : String(error) });
}

process.exit();

/** Resolves when the message is on its way, or when nobody listens any more. */
function report(message: PackReport): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else
      process.send(message, undefined, undefined, () => {
        resolve();
      });
  });
}
