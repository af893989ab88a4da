// The stores in memory: empty at each start, gone at each end.
import type { Stores } from '../stores.ts';
import { MemoryBootSessionStore } from './memory-boot-session-store.ts';
import { MemoryChannelStore } from './memory-channel-store.ts';
import { MemoryConversionStore } from './memory-conversion-store.ts';
import { MemoryEnrollmentStore } from './memory-enrollment-store.ts';
import { MemoryEventLog } from './memory-event-log.ts';
import { MemoryMachineStore } from './memory-machine-store.ts';
import { MemoryRegistryStore } from './memory-registry-store.ts';
import { MemoryRolloutStore } from './memory-rollout-store.ts';

export function createMemoryStores(): Stores {
  const machines = new MemoryMachineStore();
  return {
    machines,
    events: new MemoryEventLog(),
    sessions: new MemoryBootSessionStore(),
    enrollment: new MemoryEnrollmentStore(machines),
    conversions: new MemoryConversionStore(),
    registry: new MemoryRegistryStore(),
    channels: new MemoryChannelStore(),
    rollouts: new MemoryRolloutStore(),
  };
}
