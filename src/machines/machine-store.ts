// PORT. Where machines are kept. Adapters: storage/sql, storage/memory; both pass test/contract/machine-store.
import type { MacAddress } from '../protocol/mac-address.ts';
import type { Machine, MachineId } from './machine.ts';

export type SaveOutcome = { readonly kind: 'saved'; readonly machine: Machine } | { readonly kind: 'stale' };

export interface MachineStore {
  find(id: MachineId): Promise<Machine | undefined>;
  findByMac(mac: MacAddress): Promise<Machine | undefined>;
  findByUuid(uuid: string): Promise<readonly Machine[]>;
  /** All machines, newest activity first, at most `limit`. */
  list(options: { readonly limit: number; readonly state?: Machine['state'] }): Promise<readonly Machine[]>;
  count(state?: Machine['state']): Promise<number>;
  /** Adds a machine with version 1. Where one of its MACs is already on record nothing is added and that machine comes back. */
  insert(machine: Machine): Promise<{ readonly kind: 'inserted' | 'exists'; readonly machine: Machine }>;
  /**
   * Replaces the machine if the stored version equals `machine.version`; the stored one then has version + 1. A MAC that is on
   * record for another machine is never taken from it: AppError 'conflict', and nothing was changed.
   */
  save(machine: Machine): Promise<SaveOutcome>;
  /** Moves `lastSeenAt` on (never back) for many machines in one transaction. No other field and no version changes. */
  touch(sightings: ReadonlyMap<MachineId, number>): Promise<void>;
}
