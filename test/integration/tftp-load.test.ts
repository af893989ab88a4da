// Many exact transfers at once, with loss, with a window, and over the end of the block numbers.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildTftpload, hasCompiler, runTftpload } from '../support/tftpload.ts';
import type { TftploadResult } from '../support/tftpload.ts';
import { someBytes, startTftpWorld } from '../support/tftp-world.ts';
import type { TftpWorld } from '../support/tftp-world.ts';

const content = someBytes(4_400_000);

const canCompile = hasCompiler();

describe.skipIf(!canCompile)(canCompile ? 'tftpload' : 'tftpload (skipped: no gcc here)', () => {
  let folder: string;
  let program: string;
  let world: TftpWorld;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'muster-tftpload-'));
    program = await buildTftpload(folder);
    await writeFile(path.join(folder, 'f'), content);
  });

  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  const load = async (limits: { cachedFileBytes?: number }, ...args: (string | number)[]): Promise<TftploadResult> => {
    world = await startTftpWorld(new Map([['f', content]]), limits);
    try {
      return await runTftpload(program, ['-p', world.port, '-f', 'f', '-r', path.join(folder, 'f'), '-X', 15, ...args]);
    } finally {
      await world.stop();
    }
  };

  it('16 clients with windows of 16 all get the exact file, and nothing is sent twice', async () => {
    expect(await load({}, '-c', 16, '-w', 16)).toMatchObject({ ok: 16, bad: 0, win: 16, dups: 0 });
    expect(world.reports.every(({ outcome, bytes }) => outcome === 'completed' && bytes === content.length)).toBe(true);
  });

  it('16 clients in lock-step all get the exact file', async () => {
    expect(await load({}, '-c', 16, '-w', 1)).toMatchObject({ ok: 16, bad: 0, win: 1, dups: 0 });
  });

  it('a file that is too large for the cache is read piece by piece, and is as exact', async () => {
    expect(await load({ cachedFileBytes: 1000 }, '-c', 8, '-w', 64)).toMatchObject({ ok: 8, bad: 0, win: 64 });
  });

  it('one packet in a hundred lost: the file is exact', async () => {
    const result = await load({}, '-c', 4, '-w', 16, '-D', 1, '-t', 300);
    expect(result).toMatchObject({ ok: 4, bad: 0 });
    expect(result.dropped).toBeGreaterThan(0);
  });

  it('more than 65 536 blocks: the number goes on at 0', async () => {
    expect(await load({}, '-b', 64, '-w', 32)).toMatchObject({ ok: 1, bad: 0 });
  });
});
