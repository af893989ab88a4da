// Names a process so that it cannot be mistaken for a later one with the same number: pid and start time, as the kernel
// tells them in /proc/<pid>/stat (proc(5)). Stops processes by that name only, never by a pattern.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks from the machine's boot to the start of the process. */
  readonly startTicks: number;
}

/** State letter and start time out of one stat line. The command name may itself hold spaces and parentheses. */
export function parseProcessStat(stat: string): { readonly state: string; readonly startTicks: number } | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  const startTicks = Number(fields[19]);
  return state === undefined || !Number.isInteger(startTicks) ? undefined : { state, startTicks };
}

/** The identity of a running process; undefined where none has this number (a zombie has ended). */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  const parsed = parseProcessStat(stat);
  return parsed === undefined || parsed.state === 'Z' ? undefined : { pid, startTicks: parsed.startTicks };
}

export function isRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTicks === identity.startTicks;
}

/** Sends a signal to exactly this process; a process that has ended is no error. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

export async function waitForExit(identity: ProcessIdentity, milliseconds: number): Promise<boolean> {
  const deadline = performance.now() + milliseconds;
  while (isRunning(identity)) {
    if (performance.now() > deadline) return false;
    await sleep(25);
  }
  return true;
}

/** SIGTERM, and SIGKILL for what has not ended after the grace. */
export async function stopProcess(identity: ProcessIdentity, graceMilliseconds = 3_000): Promise<void> {
  signalProcess(identity, 'SIGTERM');
  if (await waitForExit(identity, graceMilliseconds)) return;
  signalProcess(identity, 'SIGKILL');
  await waitForExit(identity, graceMilliseconds);
}
