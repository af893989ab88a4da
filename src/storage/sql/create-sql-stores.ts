// The stores of one database.
import type { Stores } from '../stores.ts';
import type { Database } from './schema.ts';
import { SqlBootSessionStore } from './sql-boot-session-store.ts';
import { SqlChannelStore } from './sql-channel-store.ts';
import { SqlConversionStore } from './sql-conversion-store.ts';
import { SqlEnrollmentStore } from './sql-enrollment-store.ts';
import { SqlEventLog } from './sql-event-log.ts';
import { SqlMachineStore } from './sql-machine-store.ts';
import { SqlRegistryStore } from './sql-registry-store.ts';
import { SqlRolloutStore } from './sql-rollout-store.ts';

export type { Stores } from '../stores.ts';

export function createSqlStores(database: Database): Stores {
  return {
    machines: new SqlMachineStore(database),
    events: new SqlEventLog(database),
    sessions: new SqlBootSessionStore(database),
    enrollment: new SqlEnrollmentStore(database),
    conversions: new SqlConversionStore(database),
    registry: new SqlRegistryStore(database),
    channels: new SqlChannelStore(database),
    rollouts: new SqlRolloutStore(database),
  };
}
