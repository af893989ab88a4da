// The stores of one database.
import type { Stores } from '../stores.ts';
import type { Database } from './schema.ts';
import { SqlBootSessionStore } from './sql-boot-session-store.ts';
import { SqlEnrollmentStore } from './sql-enrollment-store.ts';
import { SqlEventLog } from './sql-event-log.ts';
import { SqlImageStore } from './sql-image-store.ts';
import { SqlMachineStore } from './sql-machine-store.ts';

export type { Stores } from '../stores.ts';

export function createSqlStores(database: Database): Stores {
  return {
    machines: new SqlMachineStore(database),
    events: new SqlEventLog(database),
    sessions: new SqlBootSessionStore(database),
    enrollment: new SqlEnrollmentStore(database),
    images: new SqlImageStore(database),
  };
}
