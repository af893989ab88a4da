// PORT. Rollouts with their members, pins and freezes. Every change is decided on what was read and is one transaction that
// holds against one version: of two servers that decide at the same time, one is told `stale` and decides again.
// Adapters: storage/sql, storage/memory; both pass test/contract/rollout-store.
import type { MachineId } from '../machines/machine.ts';
import type { Member, Rollout, RolloutId, RolloutState } from './rollout.ts';

/** A machine that stays as it is, whatever rollouts say. */
export interface Pin {
  readonly machineId: MachineId;
  readonly note: string;
  readonly by: string;
  readonly at: number;
}

/** While one is in force no machine that fits it is granted anything. */
export interface Freeze {
  readonly id: string;
  /** Labels that a machine must have; none: the whole fleet. */
  readonly labels: Readonly<Record<string, string>>;
  readonly from: number;
  readonly until: number;
  readonly note: string;
  readonly by: string;
}

/** What one decision changes, all or nothing. */
export interface RolloutChange {
  /** As it shall be; its `version` is the one that was read. */
  readonly rollout: Rollout;
  readonly members: readonly Member[];
}

export type ApplyOutcome = { readonly kind: 'applied'; readonly rollout: Rollout } | { readonly kind: 'stale' };

export interface RolloutStore {
  /** A new rollout with its members. It is a draft, so no other one has to know of it. */
  create(rollout: Rollout, members: readonly Member[]): Promise<void>;
  find(id: RolloutId): Promise<Rollout | undefined>;
  /** Newest first. */
  list(options: { readonly limit: number; readonly states?: readonly RolloutState[] }): Promise<readonly Rollout[]>;
  /** By place. */
  members(id: RolloutId): Promise<readonly Member[]>;
  /** The member that this machine is in a rollout that has not ended, drafts left out; at most one is under way. */
  activeMembers(machineId: MachineId): Promise<readonly Member[]>;
  /** All members under way of rollouts other than this one: what shared budgets count. */
  underWayElsewhere(id: RolloutId): Promise<readonly Member[]>;
  /**
   * Grows with every applied change of any rollout. A decision reads it first, then everything else, and is applied only if it
   * still stands: budgets that rollouts share hold this way too.
   */
  epoch(): Promise<number>;
  /** One transaction: 'stale' and nothing changed where the epoch or the rollout's version is another than the one read. */
  apply(change: RolloutChange, epoch: number): Promise<ApplyOutcome>;
  pins(): Promise<readonly Pin[]>;
  pin(pin: Pin): Promise<void>;
  unpin(machineId: MachineId): Promise<boolean>;
  freezes(now: number): Promise<readonly Freeze[]>;
  freeze(freeze: Freeze): Promise<void>;
  thaw(id: string): Promise<boolean>;
}
