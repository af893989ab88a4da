// Packs roots in a thread of its own: gigabytes of tar would keep the servers waiting, and a thread's heap can be kept small.
import { Worker } from 'node:worker_threads';
import { AppError, ERROR_CODES, type ErrorCode } from '../errors.ts';
import type { ConversionProgress } from '../images/conversion/conversion.ts';
import type { PackOutcome, PackRequest, RootPacker, StoredLayer } from '../images/conversion/pack-root.ts';

/** What the thread is given. */
export interface PackJob {
  readonly layers: readonly StoredLayer[];
  readonly folder: string;
  readonly blobDirectory: string;
  readonly processors: number;
}

/** What the thread says. */
export type PackReport =
  | { readonly kind: 'progress'; readonly progress: ConversionProgress }
  | { readonly kind: 'done'; readonly outcome: PackOutcome }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };

/** Small young generations are collected often, and with them the buffers that went through. Megabytes. */
const HEAP = { maxYoungGenerationSizeMb: 3, maxOldGenerationSizeMb: 256 };

export class WorkerRootPacker implements RootPacker {
  readonly #surroundings: Pick<PackJob, 'blobDirectory' | 'processors'>;

  constructor(surroundings: Pick<PackJob, 'blobDirectory' | 'processors'>) {
    this.#surroundings = surroundings;
  }

  async pack({ layers, folder, signal, onProgress }: PackRequest): Promise<PackOutcome> {
    signal.throwIfAborted();
    const job: PackJob = { ...this.#surroundings, layers, folder: folder.pathOf('') };
    const worker = new Worker(new URL('pack-root-thread.ts', import.meta.url), {
      workerData: job,
      resourceLimits: HEAP,
    });
    // The thread ends its program before it ends itself.
    const abort = (): void => {
      worker.postMessage('abort');
    };
    signal.addEventListener('abort', abort);
    try {
      return await new Promise<PackOutcome>((resolve, reject) => {
        worker.on('message', (report: PackReport) => {
          if (report.kind === 'progress') onProgress(report.progress);
          else if (report.kind === 'done') resolve(report.outcome);
          else reject(failureOf(report));
        });
        worker.once('error', reject);
        worker.once('exit', (code) => {
          reject(new AppError('internal', `The thread that packs images ended with code ${code}.`));
        });
      });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
      await worker.terminate();
    }
  }
}

/** Errors lose their class on the way between threads. */
function failureOf({ code, message }: { readonly code: string; readonly message: string }): AppError {
  return new AppError(isErrorCode(code) ? code : 'internal', message);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}
