// What Muster knows of a machine, and the one table of the states it can be in. Pure: no clock, no store.
import type { Digest } from '../images/digest.ts';
import type { MacAddress } from '../protocol/mac-address.ts';

export type MachineId = string & { readonly __brand: 'MachineId' };

/**
 * discovered  seen on the wire; waits for a person where policy says so
 * approved    may boot its image and join with a token
 * enrolled    has a certificate of its own
 * configured  reported that its cloud-config was applied, and what it read back matches
 * active      configured, and its agent reports health
 * failed      could not be configured; the reason says why. Joining again leads out of it
 * retired     taken out by a person; neither boots nor joins
 */
export const MACHINE_STATES = [
  'discovered',
  'approved',
  'enrolled',
  'configured',
  'active',
  'failed',
  'retired',
] as const;
export type MachineState = (typeof MACHINE_STATES)[number];

/** What may happen to a machine. Everything that changes a state goes through `nextState`. */
export const MACHINE_TRIGGERS = ['approve', 'enroll', 'configure', 'report-healthy', 'fail', 'retire'] as const;
export type MachineTrigger = (typeof MACHINE_TRIGGERS)[number];

const TRANSITIONS: Readonly<Record<MachineTrigger, Readonly<Partial<Record<MachineState, MachineState>>>>> = {
  approve: { discovered: 'approved', retired: 'approved' },
  // A machine that runs from RAM loses its key at each reboot, so it enrolls again from any state after approval.
  enroll: {
    approved: 'enrolled',
    enrolled: 'enrolled',
    configured: 'enrolled',
    active: 'enrolled',
    failed: 'enrolled',
  },
  configure: { enrolled: 'configured', failed: 'configured', configured: 'configured', active: 'active' },
  'report-healthy': { configured: 'active', active: 'active' },
  fail: { enrolled: 'failed', configured: 'failed', active: 'failed', failed: 'failed' },
  retire: {
    discovered: 'retired',
    approved: 'retired',
    enrolled: 'retired',
    configured: 'retired',
    active: 'retired',
    failed: 'retired',
  },
};

/** The state after a trigger, or undefined where the table has no such step. */
export function nextState(state: MachineState, trigger: MachineTrigger): MachineState | undefined {
  return TRANSITIONS[trigger][state];
}

/** What the machine says of itself. Nothing in here authorises anything. */
export interface HardwareFacts {
  readonly vendor?: string;
  readonly product?: string;
  readonly serial?: string;
  readonly uuid?: string;
  readonly architecture?: string;
  readonly firmware?: string;
  readonly cpu?: string;
  readonly cpuCount?: number;
  readonly memoryBytes?: number;
  readonly disks?: readonly { readonly name: string; readonly sizeBytes: number; readonly model?: string }[];
  readonly macs?: readonly string[];
}

/** What a machine says that it runs. */
export interface RunningImage {
  /** Of the OS image's manifest. */
  readonly image: Digest;
  readonly source: 'network' | 'disk';
  readonly slot?: 'A' | 'B';
  /** `trial`: it has yet to prove healthy, and falls back to the other slot by itself if it does not. */
  readonly slotState?: 'good' | 'trial';
  readonly version?: string;
  /** Of this boot: another one is another boot. */
  readonly bootId: string;
  /** When it was first heard of in this state. */
  readonly since: number;
}

/** A machine on record. Times are milliseconds since 1970 (UTC). */
export interface Machine {
  readonly id: MachineId;
  /** First one first: the address it was first seen with. */
  readonly macs: readonly MacAddress[];
  readonly uuid?: string;
  readonly serial?: string;
  readonly hostname?: string;
  /** Architecture of the firmware that asked last, a name from boot/architecture.ts. */
  readonly architecture?: string;
  readonly state: MachineState;
  /** Why it is in this state: one sentence. */
  readonly stateReason: string;
  readonly stateSince: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly facts: HardwareFacts;
  /** Name of the profile that matched last, and of the image that was served last. */
  readonly profile?: string;
  readonly image?: string;
  readonly address?: string;
  /** Serial number (lower-case hex) of the certificate that it uses now. */
  readonly certificateSerial?: string;
  /** Digest of the cloud-config it reported as applied. */
  readonly configDigest?: string;
  /** Saved when it changes, not with each heartbeat. */
  readonly running?: RunningImage;
  /** When it was installed to its disk; absent for a machine that runs from RAM. */
  readonly installedAt?: number;
  readonly createdAt: number;
  readonly lastSeenAt: number;
  /** Grows by one with each save; a save with a stale version is refused. */
  readonly version: number;
}

/** Whether the network answers at all: a discovered machine is told to wait, a retired one is left to its disk. */
export function mayBootAtAll(state: MachineState): boolean {
  return state !== 'retired';
}
