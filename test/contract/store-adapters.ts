// Each way to keep the stores, opened afresh for every test: the contract suites run on all of them.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { createMemoryStores } from '../../src/storage/memory/create-memory-stores.ts';
import { createSqlStores } from '../../src/storage/sql/create-sql-stores.ts';
import { openDatabase } from '../../src/storage/sql/open-database.ts';
import type { Stores } from '../../src/storage/stores.ts';

interface OpenStores {
  readonly stores: Stores;
  /** The same data through another connection, where the adapter has such a thing. */
  readonly second: () => Promise<Stores>;
  readonly close: () => Promise<void>;
}

interface StoreAdapter {
  readonly name: string;
  readonly open: () => Promise<OpenStores>;
}

export const STORE_ADAPTERS: readonly StoreAdapter[] = [
  { name: 'memory', open: openMemory },
  { name: 'sqlite', open: openSqlite },
];

/** Opens the adapter before each test of the surrounding suite and closes it afterwards; call the result inside a test. */
export function storesOf(adapter: StoreAdapter): () => OpenStores {
  let opened: OpenStores | undefined;
  beforeEach(async () => {
    opened = await adapter.open();
  });
  afterEach(async () => {
    await opened?.close();
  });
  return () => {
    if (opened === undefined) throw new Error('the stores are open inside a test only');
    return opened;
  };
}

function openMemory(): Promise<OpenStores> {
  const stores = createMemoryStores();
  return Promise.resolve({ stores, second: () => Promise.resolve(stores), close: () => Promise.resolve() });
}

async function openSqlite(): Promise<OpenStores> {
  const folder = await mkdtemp(join(tmpdir(), 'muster-contract-'));
  const databases = [await openDatabase(join(folder, 'muster.db'))];
  const [first] = databases;
  return {
    stores: createSqlStores(first!),
    second: async () => {
      const database = await openDatabase(join(folder, 'muster.db'));
      databases.push(database);
      return createSqlStores(database);
    },
    close: async () => {
      await Promise.all(databases.map((database) => database.destroy()));
      await rm(folder, { recursive: true });
    },
  };
}
