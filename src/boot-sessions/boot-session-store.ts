// PORT. Where boot sessions are kept. Adapters: storage/sql, storage/memory; both pass test/contract/boot-session-store.
import type { MachineId } from '../machines/machine.ts';
import type { BootCapability, BootSession, BootSessionId } from './boot-session.ts';

export interface BootSessionStore {
  /** Adds a session with the SHA-256 (lower-case hex) of its token for each capability. */
  insert(session: BootSession, tokenHashes: Readonly<Record<BootCapability, string>>): Promise<void>;
  find(id: BootSessionId): Promise<BootSession | undefined>;
  findByTokenHash(
    hash: string,
  ): Promise<{ readonly session: BootSession; readonly capability: BootCapability } | undefined>;
  /** The one that was inserted last, whatever the clock said. */
  latestOfMachine(machineId: MachineId): Promise<BootSession | undefined>;
  /** Changes what is named; nothing where there is no such session. */
  update(
    id: BootSessionId,
    changes: Partial<Pick<BootSession, 'scriptServedAt' | 'image' | 'profile' | 'expiresAt'>>,
  ): Promise<void>;
  /** What the sessions that end after this time boot, each reference once: never collected. */
  imagesInUse(now: number): Promise<ReadonlySet<string>>;
  /**
   * Counts one fetch of a resource, atomically; false (and nothing counted) when `limit` fetches were made before, or where
   * there is no such session.
   */
  countFetch(id: BootSessionId, resource: string, limit: number): Promise<boolean>;
  /** Removes sessions that ended before that time; returns how many went. */
  removeExpired(before: number): Promise<number>;
}
