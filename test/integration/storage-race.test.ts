// Two processes on one database file.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSqlStores } from '../../src/storage/sql/create-sql-stores.ts';
import { openDatabase } from '../../src/storage/sql/open-database.ts';
import { aToken } from '../support/domain-builders.ts';

const TOKENS = 100;
const WRITER = fileURLToPath(new URL('./storage-race-writer.ts', import.meta.url));

function startWriter(path: string, name: string): ChildProcessByStdio<Writable, Readable, null> {
  return spawn(process.execPath, [WRITER, path, name, String(TOKENS)], { stdio: ['pipe', 'pipe', 'inherit'] });
}

describe('two processes on one database', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-race-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('open a new database together, and each single-use token opens for one of them', async () => {
    const path = join(folder, 'muster.db');
    const writers = ['left', 'right'].map((name) => startWriter(path, name));
    await Promise.all(writers.map((writer) => once(writer.stdout, 'readable')));

    const database = await openDatabase(path);
    const { enrollment } = createSqlStores(database);
    for (let token = 0; token < TOKENS; token += 1) await enrollment.insertToken(aToken({ id: `token-${token}` }));
    const outputs = await Promise.all(
      writers.map((writer) => {
        writer.stdin.write('go\n');
        return text(writer.stdout);
      }),
    );
    const got = outputs.flatMap((output) => output.split('\n').filter((line) => line.startsWith('token-')));
    expect(got.sort()).toEqual(Array.from({ length: TOKENS }, (_, token) => `token-${token}`).sort());
    await database.destroy();
  });
});
