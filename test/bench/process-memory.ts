// How much memory a process takes, with all that it starts: resident memory as the system counts it (VmRSS), programs included,
// page cache of files that are only read or written not.
import { readdir, readFile } from 'node:fs/promises';

const EVERY_MILLISECONDS = 100;

/** `end` answers the most mebibytes at one moment. */
export function watchMemory(pid: number): { readonly end: () => number } {
  let peakMebibytes = 0;
  const watch = setInterval(() => {
    void residentMebibytes(pid).then((sum) => {
      peakMebibytes = Math.max(peakMebibytes, sum);
    });
  }, EVERY_MILLISECONDS);
  return {
    end: () => {
      clearInterval(watch);
      return peakMebibytes;
    },
  };
}

/** Of a process and all below it. */
async function residentMebibytes(pid: number): Promise<number> {
  const read = (name: string): Promise<string> => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
  const own = Number(/VmRSS:\s+(\d+) kB/.exec(await read('status'))?.[1] ?? 0) / 1024;
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const children = await Promise.all(threads.map((thread) => read(`task/${thread}/children`)));
  const below = children
    .join(' ')
    .split(' ')
    .filter((word) => word !== '');
  const sums = await Promise.all(below.map((child) => residentMebibytes(Number(child))));
  return sums.reduce((sum, more) => sum + more, own);
}
