// Two network namespaces joined by a veth pair, and server processes inside: the ground of every network benchmark.
import { execFile, execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Clock ticks of /proc/<pid>/stat in a second: USER_HZ, 100 on every Linux (proc(5)). */
const TICKS_PER_SECOND = 100;

export interface BenchNetwork {
  readonly serverAddress: string;
  /** Command lines that run what follows on the server's or the client's side, each on a core of its own. */
  readonly onServer: readonly string[];
  readonly onClient: readonly string[];
  remove(): Promise<void>;
}

/** Why network benchmarks cannot run here; undefined where they can. */
export function missingForNetwork(programs: readonly string[]): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root for network namespaces: run it with sudo';
  const missing = ['ip', 'taskset', ...programs].filter((program) => !isInstalled(program));
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`;
}

export async function createBenchNetwork(): Promise<BenchNetwork> {
  const [server, client] = [`muster-bench-s${process.pid}`, `muster-bench-c${process.pid}`];
  const ip = (...args: string[]): Promise<unknown> => run('ip', args);
  const remove = async (): Promise<void> => {
    for (const namespace of [server, client]) await ip('netns', 'del', namespace).catch(() => undefined);
  };
  try {
    for (const namespace of [server, client]) await ip('netns', 'add', namespace);
    await ip('-n', server, 'link', 'add', 'bench0', 'type', 'veth', 'peer', 'name', 'bench0', 'netns', client);
    for (const [namespace, address] of [
      [server, '10.99.0.1/24'],
      [client, '10.99.0.2/24'],
    ] as const) {
      await ip('-n', namespace, 'addr', 'add', address, 'dev', 'bench0');
      await ip('-n', namespace, 'link', 'set', 'lo', 'up');
      await ip('-n', namespace, 'link', 'set', 'bench0', 'up', 'mtu', '1500');
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    serverAddress: '10.99.0.1',
    onServer: ['ip', 'netns', 'exec', server, 'taskset', '-c', '0'],
    onClient: ['ip', 'netns', 'exec', client, 'taskset', '-c', '1'],
    remove,
  };
}

/** A server process that is measured from outside. */
export class BenchServer {
  private readonly child: ChildProcess;

  constructor(command: readonly string[]) {
    const [program = '', ...args] = command;
    this.child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  }

  /** User and system time so far. `ip netns exec` and `taskset` become the server, so the child's pid is its pid. */
  async cpuSeconds(): Promise<number> {
    const stat = await this.read('stat');
    // Fields 14 and 15; the second one, the name in brackets, may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  /** The most memory that it ever had resident. */
  async peakMebibytes(): Promise<number> {
    return Number(/^VmHWM:\s+([0-9]+) kB$/m.exec(await this.read('status'))?.[1]) / 1024;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await exited;
  }

  private read(file: string): Promise<string> {
    return readFile(`/proc/${this.child.pid ?? 0}/${file}`, 'utf8');
  }
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
