// A rack's registry as a process of its own, for a test to kill: node upstream-process.ts <folder> <upstream URL>. Writes its URL.
import { join } from 'node:path';
import { createSqlStores } from '../../src/storage/sql/create-sql-stores.ts';
import { openDatabase } from '../../src/storage/sql/open-database.ts';
import { UpstreamWorld } from './upstream-world.ts';

const [folder = '', upstream = ''] = process.argv.slice(2);
const { registry } = createSqlStores(await openDatabase(join(folder, 'muster.db')));
const rack = await new UpstreamWorld().rack(upstream, { folder, store: registry });
process.stdout.write(`${rack.url}\n`);
