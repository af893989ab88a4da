// Packs tars with mksquashfs (squashfs-tools 4.5 or newer). Not with its other name, sqfstar: 4.5.1 takes the argument of
// -Xcompression-level for the file to write, and its standard level packs five times slower.
import { spawn, type ChildProcess } from 'node:child_process';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError } from '../errors.ts';
import type { SquashfsOutcome, SquashfsRequest, SquashfsWriter } from '../images/conversion/squashfs-writer.ts';
import { setSquashfsRootTime } from './squashfs-root-time.ts';

export interface MksquashfsOptions {
  readonly program?: string;
  readonly processors: number;
  /** For its queues; the whole process takes some 20 to 50 MB more, by the number of files. */
  readonly memoryMebibytes?: number;
}

/** Level 3 packs twice as fast as 6 and costs 6 % of size; booting machines unpack either at the same speed. */
const COMPRESSION = ['-comp', 'zstd', '-Xcompression-level', '3'];
const SAID_LIMIT_BYTES = 4096;
const CLOSED_PIPE = ['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED'];

export class MksquashfsWriter implements SquashfsWriter {
  readonly #program: string;
  readonly #limits: readonly string[];

  constructor({ program = 'mksquashfs', processors, memoryMebibytes = 16 }: MksquashfsOptions) {
    this.#program = program;
    this.#limits = ['-processors', String(processors), '-mem', `${memoryMebibytes}M`];
  }

  async write(request: SquashfsRequest): Promise<SquashfsOutcome> {
    const { tar, signal } = request;
    signal.throwIfAborted();
    const child = this.#start(request);
    const said = textOf(child);
    const ended = exitOf(child);
    const kill = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', kill);
    try {
      await feed(tar, child);
    } catch (error) {
      kill();
      await ended.catch(ignore);
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', kill);
    }
    const code = await ended.catch((error: unknown) => {
      throw this.#cannotStart(error);
    });
    signal.throwIfAborted();
    if (code !== 0) return { kind: 'failed', reason: said() || `it ended with code ${String(code)}` };
    await setSquashfsRootTime(request.path, request.timeSeconds);
    return { kind: 'written' };
  }

  #start({ path, timeSeconds, rootMode }: SquashfsRequest): ChildProcess {
    const root = ['-root-mode', (rootMode & 0o7777).toString(8), '-root-uid', '0', '-root-gid', '0'];
    // The time of the root folder is set afterwards: 4.5.1 does not heed -root-time with -tar. SOURCE_DATE_EPOCH besides would be
    // refused, and would do it only up to the present time.
    const time = ['-mkfs-time', String(timeSeconds), '-noI'];
    const quiet = ['-quiet', '-no-progress', '-noappend', '-exit-on-error'];
    return spawn(this.#program, ['-', path, '-tar', ...COMPRESSION, ...this.#limits, ...root, ...time, ...quiet], {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: { PATH: process.env.PATH },
    });
  }

  #cannotStart(error: unknown): AppError {
    const reason = error instanceof Error ? error.message : String(error);
    return new AppError(
      'missing-program',
      `${this.#program} cannot be run: ${reason}.\nFix: apt-get install --no-install-recommends squashfs-tools`,
      { cause: error },
    );
  }
}

/** The end of what the program says; the tar's own root entry, which it drops, is not worth a word. */
function textOf(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    text = (text + piece).slice(-SAID_LIMIT_BYTES);
  });
  return () =>
    text
      .split('\n')
      .filter((line) => line.trim() !== '' && !line.startsWith('Empty tar filename'))
      .slice(-3)
      .join(' ')
      .trim();
}

/** Fails as the tar fails. A program that gives up closes its end: that is its own failure to tell. */
async function feed(tar: Readable, child: ChildProcess): Promise<void> {
  if (child.stdin === null) throw new AppError('internal', 'mksquashfs was started without an input.');
  try {
    await pipeline(tar, new PassThrough({ highWaterMark: 1024 * 1024 }), child.stdin);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (!CLOSED_PIPE.some((known) => known === code)) throw error;
  }
}

/** Fails where the program could not be started. */
function exitOf(child: ChildProcess): Promise<number | null> {
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  ended.catch(ignore);
  return ended;
}

function ignore(): void {
  // Awaited elsewhere.
}
