import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSqlStores } from '../../src/storage/sql/create-sql-stores.ts';
import { openDatabase } from '../../src/storage/sql/open-database.ts';
import type { Database } from '../../src/storage/sql/schema.ts';
import { aMac, aMachine, aMachineId, NOON } from '../support/domain-builders.ts';

describe('openDatabase', () => {
  let folder: string;
  let path: string;
  const opened: Database[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-database-'));
    path = join(folder, 'muster.db');
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((database) => database.destroy()));
    await rm(folder, { recursive: true });
  });

  async function openOnce(): Promise<Database> {
    const database = await openDatabase(path);
    opened.push(database);
    return database;
  }

  async function pragma(database: Database, name: string): Promise<unknown> {
    const { rows } = await sql<Record<string, unknown>>`pragma ${sql.raw(name)}`.execute(database);
    return Object.values(rows[0]!)[0];
  }

  /** Acts on the file as another program would. */
  function tamper(statement: string): void {
    const raw = new DatabaseSync(path);
    raw.exec(statement);
    raw.close();
  }

  it('syncs each commit to the disk, and lets readers read while one writes', async () => {
    const database = await openOnce();
    expect(await pragma(database, 'journal_mode')).toBe('wal');
    expect(await pragma(database, 'synchronous')).toBe(2);
    expect(await pragma(database, 'foreign_keys')).toBe(1);
  });

  it('keeps all its files readable by their owner alone, also a file that was open to all', async () => {
    await writeFile(path, '');
    await chmod(path, 0o644);
    const { machines } = createSqlStores(await openOnce());
    await machines.insert(aMachine());
    const names = await readdir(folder);
    expect(names.sort()).toEqual(['muster.db', 'muster.db-shm', 'muster.db-wal']);
    for (const name of names) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
  });

  it('finds what an earlier run left', async () => {
    const first = await openDatabase(path);
    await createSqlStores(first).machines.insert(aMachine());
    await first.destroy();
    expect(await createSqlStores(await openOnce()).machines.find(aMachineId())).toEqual(aMachine());
  });

  it('runs each migration once, also when several open a new database together', async () => {
    await Promise.all([openOnce(), openOnce(), openOnce()]);
    const { rows } = await sql<{ version: number }>`select version from schema_migrations order by version`.execute(
      opened[0]!,
    );
    expect(rows.map(({ version }) => version)).toEqual(rows.map((_, index) => index + 1));
  });

  it('rolls back the migration that fails, names the reason, and goes on from there next time', async () => {
    tamper('create table events (seq integer)');
    await expect(openDatabase(path)).rejects.toMatchObject({
      code: 'storage-failure',
      message: 'The database refused a statement: table "events" already exists.',
    });
    tamper('drop table events');
    const { events } = createSqlStores(await openOnce());
    expect(await events.query({ limit: 1 })).toEqual([]);
  });

  it('refuses a database that a newer version wrote, and leaves it as it is', async () => {
    await (await openDatabase(path)).destroy();
    tamper("insert into schema_migrations values (999, 'of the future')");
    await expect(openDatabase(path)).rejects.toMatchObject({
      code: 'storage-failure',
      message: expect.stringMatching(/schema version 999.*newer Muster/) as string,
    });
  });

  it('says so when the file is no database', async () => {
    await writeFile(path, 'This is not a database. '.repeat(100));
    await expect(openDatabase(path)).rejects.toMatchObject({ code: 'storage-failure' });
  });

  it('says so when the folder is missing', async () => {
    await expect(openDatabase(join(folder, 'missing', 'muster.db'))).rejects.toMatchObject({
      code: 'storage-failure',
      message: expect.stringContaining('missing/muster.db') as string,
    });
  });

  it('undoes a transaction that fails, and the next one is not disturbed', async () => {
    const database = await openOnce();
    const { machines } = createSqlStores(database);
    const failing = database.transaction().execute(async (transaction) => {
      await transaction
        .insertInto('machineMacs')
        .values({ mac: aMac(), machineId: aMachineId('no-such') })
        .execute();
    });
    await expect(failing).rejects.toMatchObject({ code: 'storage-failure' });
    expect((await machines.insert(aMachine())).kind).toBe('inserted');
  });

  it('does not mix transactions that run at once on one handle', async () => {
    const database = await openOnce();
    const { machines } = createSqlStores(database);
    await machines.insert(aMachine({ lastSeenAt: 0 }));
    const raise = (): Promise<void> =>
      database.transaction().execute(async (transaction) => {
        const { lastSeenAt } = await transaction.selectFrom('machines').select('lastSeenAt').executeTakeFirstOrThrow();
        await new Promise((resolve) => setImmediate(resolve));
        await transaction
          .updateTable('machines')
          .set({ lastSeenAt: lastSeenAt + 1 })
          .execute();
      });
    await Promise.all(Array.from({ length: 50 }, raise));
    expect((await machines.find(aMachineId()))?.lastSeenAt).toBe(50);
  });

  it('waits for another process that holds the lock, without holding up this one', async () => {
    const { machines } = createSqlStores(await openOnce());
    const other = new DatabaseSync(path);
    other.exec('begin immediate');
    const inserted = machines.insert(aMachine({ createdAt: NOON }));
    // This timer comes only if the event loop turns; then the other process lets go.
    setTimeout(() => {
      other.exec('commit');
    }, 50);
    expect((await inserted).kind).toBe('inserted');
    other.close();
  });
});
