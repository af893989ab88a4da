// Memory does not grow with an image's bytes, and little with its entries.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const PROCESS = fileURLToPath(new URL('./flatten-memory-process.ts', import.meta.url));
const MEBIBYTE = 1024 * 1024;
const run = promisify(execFile);

interface Usage {
  readonly reason: string;
  readonly heapBytes: number;
  readonly tarBytes: number;
  readonly rssBytes: number;
}

/** A young generation of 8 MiB: what V8 takes by default for rubbish alone is more than the whole tree. */
async function flatten(entries: number, layers: number): Promise<Usage> {
  const flags = ['--expose-gc', '--max-semi-space-size=8'];
  const { stdout } = await run(process.execPath, [...flags, PROCESS, String(entries), String(layers)]);
  return JSON.parse(stdout) as Usage;
}

describe('memory', () => {
  it('holds an image of 200,000 entries in less than 100 MiB of heap, and flattens it within 300 MiB', async () => {
    const usage = await flatten(200_000, 3);
    expect(usage.reason).toBe('tree');
    expect(usage.tarBytes).toBeGreaterThan(200_000 * 512);
    expect(usage.heapBytes).toBeLessThan(100 * MEBIBYTE);
    expect(usage.rssBytes).toBeLessThan(300 * MEBIBYTE);
  }, 60_000);

  it('refuses an image of 1,000,000 entries within 300 MiB', async () => {
    const usage = await flatten(1_000_000, 1);
    expect(usage.reason).toBe('too-many-entries');
    expect(usage.rssBytes).toBeLessThan(300 * MEBIBYTE);
  }, 60_000);
});
