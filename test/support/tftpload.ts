// Compiles and runs test/bench/tftpload.c, a TFTP load client that compares every byte with a reference file.
import { execFile, execFileSync } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const COMPILER = 'gcc';

export interface TftploadResult {
  readonly ok: number;
  readonly fail: number;
  readonly unfinished: number;
  readonly bad: number;
  readonly MBps: number;
  readonly bytes: number;
  readonly pkts: number;
  readonly dropped: number;
  readonly dups: number;
  readonly win: number;
  readonly err: string;
}

export function hasCompiler(): boolean {
  try {
    execFileSync(COMPILER, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Returns the path of the program in `folder`. */
export async function buildTftpload(folder: string): Promise<string> {
  const program = path.join(folder, 'tftpload');
  const source = path.join(import.meta.dirname, '../bench/tftpload.c');
  await run(COMPILER, ['-O2', '-Wall', '-o', program, source]);
  return program;
}

/** `prefix` runs it elsewhere: in a namespace, on one core. It exits with 1 where a transfer is not exact; that is no error here. */
export async function runTftpload(
  program: string,
  args: readonly (string | number)[],
  prefix: readonly string[] = [],
): Promise<TftploadResult> {
  const [command = program, ...rest] = [...prefix, program, ...args.map(String)];
  const { stdout } = await run(command, rest).catch((error: unknown) => {
    if (error instanceof Error && 'stdout' in error && String(error.stdout).startsWith('{')) {
      return { stdout: String(error.stdout) };
    }
    throw error;
  });
  return JSON.parse(stdout) as TftploadResult;
}
