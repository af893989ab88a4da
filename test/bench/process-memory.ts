// How much memory a process takes, with all that it starts: proportional set size as the system counts it (proc(5), smaps_rollup),
// in which a page that several of them share, such as a program's code, counts once. Page cache of files that are only read or
// written does not count. Reading it for processes of other users needs root.
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
  const own = Number(/^Pss:\s+(\d+) kB/m.exec(await read('smaps_rollup'))?.[1] ?? 0) / 1024;
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const children = await Promise.all(threads.map((thread) => read(`task/${thread}/children`)));
  const below = children
    .join(' ')
    .split(' ')
    .filter((word) => word !== '');
  const sums = await Promise.all(below.map((child) => residentMebibytes(Number(child))));
  return sums.reduce((sum, more) => sum + more, own);
}
