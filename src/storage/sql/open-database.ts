// Opens the database file of the data folder, readable by its owner alone, and brings its tables up to date.
import { chmod, open } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { CamelCasePlugin, Kysely, sql } from 'kysely';
import { AppError } from '../../errors.ts';
import { migrate } from './migrations.ts';
import type { Database, Tables } from './schema.ts';
import { NodeSqliteDialect } from './sqlite-dialect.ts';

/**
 * Creates the file if need be; its folder must be there. Several processes may have it open at once. AppError
 * 'storage-failure' where it cannot be read or written, is no database, or was written by a newer version.
 */
export async function openDatabase(path: string): Promise<Database> {
  const database = new Kysely<Tables>({
    dialect: new NodeSqliteDialect(await openFile(path)),
    plugins: [new CamelCasePlugin()],
  });
  try {
    await sql`pragma journal_mode = wal`.execute(database);
    // What was answered for must outlive a power cut: WAL with less than FULL loses the last commits (sqlite.org/wal.html).
    await sql`pragma synchronous = full`.execute(database);
    await migrate(database);
    return database;
  } catch (error) {
    await database.destroy();
    throw error;
  }
}

async function openFile(path: string): Promise<DatabaseSync> {
  try {
    // Made before SQLite sees it: its -wal and -shm files take over this mode.
    const file = await open(path, 'a', 0o600);
    await file.close();
    await chmod(path, 0o600);
    return new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 0 });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AppError('storage-failure', `The database ${path} cannot be opened: ${reason}.`, { cause: error });
  }
}
