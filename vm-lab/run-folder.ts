// The record of one lab run on disk: who owns it, which namespaces and processes it made. Closing a run stops exactly what
// is on its record; a sweep does so for runs whose owner is gone, and never touches a living one.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { identifyProcess, isRunning, stopProcess, type ProcessIdentity } from './process-identity.ts';

const RUNS_DIRECTORY = '/run/muster-lab';
/** In the environment of each process that a run starts, so that one started just before a crash is known as well. The
 *  name must not begin with MUSTER_: the server takes such variables for settings and refuses one it does not know. */
const RUN_MARK = 'NETBOOT_LAB_RUN';
const identitySchema = z.object({ pid: z.int().positive(), startTicks: z.int().nonnegative() });

export class RunFolder {
  readonly runId: string;
  readonly path: string;

  constructor(path: string, runId: string) {
    this.path = path;
    this.runId = runId;
  }

  /** A new run, owned by this process. The folder appears with its owner in it, or not at all. */
  static create(runsDirectory = RUNS_DIRECTORY): RunFolder {
    const owner = identifyProcess(process.pid);
    if (owner === undefined)
      throw new Error('/proc does not know this process: the lab needs Linux with /proc mounted');
    const runId = randomBytes(3).toString('hex');
    const draft = join(runsDirectory, `.${runId}`);
    for (const folder of ['processes', 'namespaces']) mkdirSync(join(draft, folder), { recursive: true, mode: 0o700 });
    writeFileSync(join(draft, 'owner.json'), JSON.stringify(owner));
    const path = join(runsDirectory, runId);
    renameSync(draft, path);
    return new RunFolder(path, runId);
  }

  /** What to add to the environment of a process of this run. */
  get environmentMark(): Record<string, string> {
    return { [RUN_MARK]: this.runId };
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** To be called before the namespace is made: a name too many on record does no harm, one too few would be left behind. */
  recordNamespace(name: string): void {
    writeFileSync(join(this.path, 'namespaces', name), '');
  }

  recordProcess(name: string, identity: ProcessIdentity): void {
    writeFileSync(join(this.path, 'processes', `${name}.json`), JSON.stringify(identity));
  }

  get namespaces(): readonly string[] {
    return entriesOf(join(this.path, 'namespaces'));
  }

  /** The recorded processes that still run. */
  get processes(): readonly ProcessIdentity[] {
    const folder = join(this.path, 'processes');
    return entriesOf(folder)
      .map((file) => readIdentity(join(folder, file)))
      .filter((identity) => identity !== undefined)
      .filter(isRunning);
  }

  /** Marks the run as one that outlives its owner (`--keep`). */
  keep(): void {
    writeFileSync(join(this.path, 'kept'), '');
  }

  get kept(): boolean {
    return existsSync(join(this.path, 'kept'));
  }

  /** A run lives while its owner does, or, once kept, while any of its processes does. */
  get living(): boolean {
    const owner = readIdentity(join(this.path, 'owner.json'));
    if (owner !== undefined && isRunning(owner)) return true;
    return this.kept && this.processes.length > 0;
  }

  /** Stops the processes, removes the namespaces and then the folder itself. A run that is closed already is no error. */
  async close(): Promise<void> {
    await Promise.all([...this.processes, ...this.unrecordedProcesses()].map((identity) => stopProcess(identity)));
    for (const name of this.namespaces) spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' });
    rmSync(this.path, { recursive: true, force: true });
  }

  private unrecordedProcesses(): ProcessIdentity[] {
    const mark = `${RUN_MARK}=${this.runId}`;
    return this.namespaces
      .flatMap((name) => spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout.split('\n'))
      .filter((pid) => pid !== '' && readEnvironment(pid).includes(mark))
      .map((pid) => identifyProcess(Number(pid)))
      .filter((identity) => identity !== undefined);
  }
}

/** All runs on record, living or not. */
export function listRuns(runsDirectory = RUNS_DIRECTORY): readonly RunFolder[] {
  return entriesOf(runsDirectory)
    .filter((name) => /^[0-9a-f]{6}$/.test(name))
    .map((name) => new RunFolder(join(runsDirectory, name), name));
}

/** Removes what runs left behind that ended without cleaning up; answers their ids. */
export async function sweepStaleRuns(runsDirectory = RUNS_DIRECTORY): Promise<readonly string[]> {
  const stale = listRuns(runsDirectory).filter((run) => !run.living);
  for (const run of stale) await run.close();
  return stale.map((run) => run.runId);
}

function entriesOf(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function readIdentity(file: string): ProcessIdentity | undefined {
  try {
    return identitySchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}

function readEnvironment(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
