// Packs roots in a process of its own: gigabytes of tar would keep the servers waiting, its heap can be kept small, and whatever a
// hostile image does to it, the server lives on.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AppError, ERROR_CODES, type ErrorCode } from '../errors.ts';
import type { ConversionProgress } from '../images/conversion/conversion.ts';
import type { PackOutcome, PackRequest, RootPacker, StoredLayer } from '../images/conversion/pack-root.ts';

/** What the process is given, as its first message. */
export interface PackJob {
  readonly layers: readonly StoredLayer[];
  readonly folder: string;
  readonly blobDirectory: string;
  readonly processors: number;
}

/** What the process says. */
export type PackReport =
  | { readonly kind: 'progress'; readonly progress: ConversionProgress }
  | { readonly kind: 'done'; readonly outcome: PackOutcome }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };

/** What the server says to it, beside the job. */
const ABORT = 'abort';

/** Small young generations are collected often, and with them the buffers that went through. Megabytes. */
const HEAP = ['--max-semi-space-size=1', '--max-old-space-size=256'];
/** After an abort it ends its program before it ends itself; one that does not is ended. */
const PATIENCE_MS = 10_000;

export class ChildRootPacker implements RootPacker {
  readonly #surroundings: Pick<PackJob, 'blobDirectory' | 'processors'>;

  constructor(surroundings: Pick<PackJob, 'blobDirectory' | 'processors'>) {
    this.#surroundings = surroundings;
  }

  async pack({ layers, folder, signal, onProgress }: PackRequest): Promise<PackOutcome> {
    signal.throwIfAborted();
    const job: PackJob = { ...this.#surroundings, layers, folder: folder.pathOf('') };
    const child = fork(fileURLToPath(new URL('pack-root-process.ts', import.meta.url)), [], {
      execArgv: HEAP,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => {
        resolve();
      });
    });
    let patience: NodeJS.Timeout | undefined;
    const abort = (): void => {
      if (child.connected) child.send(ABORT);
      patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    };
    signal.addEventListener('abort', abort);
    try {
      return await new Promise<PackOutcome>((resolve, reject) => {
        child.on('message', (report: PackReport) => {
          if (report.kind === 'progress') onProgress(report.progress);
          else if (report.kind === 'done') resolve(report.outcome);
          else reject(failureOf(report));
        });
        child.once('error', reject);
        child.once('exit', (code, killedBy) => {
          const end = killedBy === null ? `with code ${code ?? '?'}` : `by ${killedBy}`;
          reject(new AppError('internal', `The process that packs images ended ${end}.`));
        });
        child.send(job);
      });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
      if (child.connected) child.disconnect();
      await ended;
      clearTimeout(patience);
    }
  }
}

/** Errors lose their class on the way between processes. */
function failureOf({ code, message }: { readonly code: string; readonly message: string }): AppError {
  return new AppError(isErrorCode(code) ? code : 'internal', message);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}
