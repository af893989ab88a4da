// Makes glibc give large buffers back to the system as soon as they are free. By itself it raises the size from which it does so
// with every such buffer (mallopt(3), M_MMAP_THRESHOLD), and a server that passes gigabytes on keeps twice the memory it needs.
import koffi from 'koffi';

const M_MMAP_THRESHOLD = -3;
const THRESHOLD_BYTES = 128 * 1024;

/** Does nothing where the C library is another one. */
export function returnFreeMemory(): void {
  if (process.platform !== 'linux') return;
  try {
    const mallopt = koffi.load(null).func('int mallopt(int parameter, int value)') as (
      parameter: number,
      value: number,
    ) => number;
    mallopt(M_MMAP_THRESHOLD, THRESHOLD_BYTES);
  } catch {
    // musl has no such call, and no such habit.
  }
}
