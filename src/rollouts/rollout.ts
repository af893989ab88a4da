// What a rollout is: one image, the machines that are to run it, the waves in which they take it and how far each has come.
// Pure types. Times are milliseconds since 1970 (UTC), shares are basis points (1 % = 100).
import type { Digest } from '../images/digest.ts';
import type { MachineId } from '../machines/machine.ts';
import type { Share } from './share.ts';
import type { MaintenanceWindow } from './maintenance-window.ts';
import type { Selector } from './selector.ts';

export type RolloutId = string & { readonly __brand: 'RolloutId' };

/**
 * draft     made and shown; nothing happens before an operator approves it
 * running   machines are granted the image, wave by wave
 * paused    by a person: nobody new is granted, those under way go on
 * halted    by itself: a limit on failures was passed. A person resumes, aborts or rolls back
 * aborted   by a person: those under way are called back where that is still possible
 * finished  every member came to an end
 */
export type RolloutState = 'draft' | 'running' | 'paused' | 'halted' | 'aborted' | 'finished';

/** Neither a draft nor ended. */
export const ACTIVE_STATES: readonly RolloutState[] = ['running', 'paused', 'halted'];

/**
 * waiting    not granted yet
 * granted    may take the image now; nothing was heard of it yet
 * updating   the machine reported that it works on it (download, write, verify)
 * rebooting  the machine is on its way into the image
 * soaking    it runs the image, and has to stay healthy for the soak time
 * succeeded  it did
 * failed     it did not: `reason` says why
 * skipped    it ran this very image already, was taken out, or the rollout ended before its turn
 */
export type MemberState =
  'waiting' | 'granted' | 'updating' | 'rebooting' | 'soaking' | 'succeeded' | 'failed' | 'skipped';

/** Counted against `maxUnavailable` and the budgets. */
export const UNDER_WAY: ReadonlySet<MemberState> = new Set(['granted', 'updating', 'rebooting', 'soaking']);

export interface RolloutImage {
  readonly repository: string;
  /** Of the OS image's manifest. */
  readonly digest: Digest;
  /** Of its boot manifest, which names kernel, initrd and squashfs: what the release key signs for machines. */
  readonly bootDigest: Digest;
  /** What the release calls itself; undefined where the image does not say. */
  readonly version?: string;
  /** A machine below this version takes another image first (a stepping stone). */
  readonly requiresVersion?: string;
  /** Kernel, initrd and squashfs together. */
  readonly sizeBytes: number;
}

export interface RolloutSpec {
  readonly image: RolloutImage;
  readonly selector: Selector;
  /** How many machines have their turn when wave n has begun, all before it included; the last is everybody. */
  readonly waves: readonly Share[];
  /** At most so many under way at the same time. */
  readonly maxUnavailable: Share;
  /** A wave, and the rollout, may have so many failures; one more halts it. */
  readonly maxFailures: Share;
  /** Below so many machines no failure is tolerated, whatever the share says. */
  readonly minimumSample: number;
  readonly soakSeconds: number;
  /** A machine that was granted and has not booted the image within this time has failed. */
  readonly deadlineSeconds: number;
  readonly window?: MaintenanceWindow;
  /** For each label here: at most so many machines of one value of it under way, over all rollouts. */
  readonly budgets: Readonly<Record<string, number>>;
  /** Bytes that machines of one subnet (/24, /64) may be granted within an hour. */
  readonly subnetBytesPerHour?: number;
  /** An older image may be taken. */
  readonly allowDowngrade: boolean;
  /** A halt turns the machines that took the image back to the one they ran before. */
  readonly autoRollback: boolean;
  /** Machines that fit the selector later: taken into the last wave, or left out. */
  readonly joiners: 'last-wave' | 'ignore';
  readonly note: string;
}

/** How the operator's key speaks: over the bytes of rollout-document.ts. */
export interface RolloutApproval {
  readonly by: string;
  readonly at: number;
  /** The text that was signed, and the base64 of its DER signature; absent where no key is asked for. */
  readonly signed?: { readonly document: string; readonly signature: string };
}

export interface Rollout {
  readonly id: RolloutId;
  readonly spec: RolloutSpec;
  readonly state: RolloutState;
  /** Why it is in this state: one sentence. */
  readonly stateReason: string;
  readonly stateSince: number;
  /** From 0; -1 while it is a draft. */
  readonly wave: number;
  /** Size of the fleet that it was made for: what shares are counted of. Grows by joiners. */
  readonly memberCount: number;
  /** How many of them joined later: all in the last wave, so that the waves before stay as they were shown. Absent: none. */
  readonly joinedCount?: number;
  /** Failures that a person accepted by resuming after a halt: the next one that passes a limit halts again. Absent: none. */
  readonly acceptedFailures?: number;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly approval?: RolloutApproval;
  /** The rollout that this one takes back. */
  readonly rollbackOf?: RolloutId;
  /** Grows by one with each change; a change that was decided on a stale version is refused. */
  readonly version: number;
}

/** One machine in a rollout. */
export interface Member {
  readonly rolloutId: RolloutId;
  readonly machineId: MachineId;
  /** Its turn: the place in the order, from 0. Fixed when it became a member. */
  readonly place: number;
  readonly state: MemberState;
  readonly reason: string;
  readonly since: number;
  readonly grantedAt?: number;
  /** The boot on which it was seen last before its present step: another one means that it has restarted since. */
  readonly bootId?: string;
  /** What it ran when it was granted: where a rollback leads. */
  readonly from?: { readonly digest: Digest; readonly repository: string };
  /** Bytes of the image that it has, for the progress bar. */
  readonly doneBytes?: number;
}
