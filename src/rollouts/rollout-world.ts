// What a decision about a rollout is made of, and what it gives. Pure types: the same world gives the same decision.
import type { Digest } from '../images/digest.ts';
import type { OrderPhase } from '../machines/agent-beat.ts';
import type { MachineId, MachineState } from '../machines/machine.ts';
import type { MemberState, Member, Rollout, RolloutId, RolloutState } from './rollout.ts';
import type { Freeze, Pin } from './rollout-store.ts';

/** What is known of a machine, as far as rollouts look at it. */
export interface MachineView {
  readonly id: MachineId;
  readonly name: string;
  readonly state: MachineState;
  readonly labels: Readonly<Record<string, string>>;
  readonly address?: string;
  readonly lastSeenAt: number;
  readonly running?: {
    readonly image: Digest;
    readonly repository?: string;
    readonly source: 'network' | 'disk';
    readonly slotState?: 'good' | 'trial';
    readonly version?: string;
    readonly bootId: string;
    readonly since: number;
  };
  /** It has a disk that it boots from; otherwise it runs from RAM. */
  readonly installed: boolean;
  /** What its agent said last of the order it works on, if it is this rollout's. */
  readonly report?: {
    readonly phase: OrderPhase;
    readonly doneBytes?: number;
    readonly reason?: string;
    readonly at: number;
  };
  /** A slot that fell back: the image that did not come up, and why. */
  readonly failedImage?: { readonly digest: Digest; readonly reason: string };
}

export interface RolloutWorld {
  readonly rollout: Rollout;
  readonly members: readonly Member[];
  /** Those of the members, and of `elsewhere`. */
  readonly machines: ReadonlyMap<MachineId, MachineView>;
  /** Members under way of all other rollouts: budgets count them too. */
  readonly elsewhere: readonly Member[];
  readonly pins: readonly Pin[];
  readonly freezes: readonly Freeze[];
  readonly now: number;
  /** A machine that was not heard of for longer counts as offline. */
  readonly offlineAfterMs: number;
  /** Since when machines can be heard at all: what was silent before is the server's own silence, not theirs. */
  readonly listeningSince?: number;
}

/** What a decision puts on record. Waves count from 0. */
export type RolloutEvent =
  | {
      readonly kind: 'rollout-state';
      readonly details: {
        readonly rollout: RolloutId;
        readonly from: RolloutState;
        readonly to: RolloutState;
        readonly reason: string;
        readonly by: string;
      };
    }
  | {
      readonly kind: 'rollout-wave';
      readonly details: { readonly rollout: RolloutId; readonly wave: number; readonly machines: number };
    }
  | {
      readonly kind: 'rollout-member';
      readonly machineId: MachineId;
      readonly details: {
        readonly rollout: RolloutId;
        readonly from: MemberState;
        readonly to: MemberState;
        readonly reason: string;
      };
    };

export interface Decision {
  /** The very same object where nothing of it changes. */
  readonly rollout: Rollout;
  /** Only those that change. */
  readonly members: readonly Member[];
  readonly events: readonly RolloutEvent[];
  /** When to decide again though nothing is reported: a deadline, the end of a soak, a window that opens. */
  readonly nextAt?: number;
}
