// What a machine is after it enrolled, and the steps that led there. Pure.
import { AppError } from '../errors.ts';
import { nextState, type HardwareFacts, type Machine, type MachineState } from '../machines/machine.ts';
import type { EnrollmentCandidate, TokenRecord } from './enrollment-token.ts';

export interface StateStep {
  readonly from: MachineState;
  readonly to: MachineState;
  readonly reason: string;
  readonly by: string;
}

export interface Enrollment {
  readonly token: TokenRecord;
  readonly candidate: EnrollmentCandidate;
  readonly facts: HardwareFacts;
  readonly certificateSerial: string;
  readonly peerAddress: string;
  readonly now: number;
}

/**
 * The machine with its new certificate. What the token says (labels, profile) wins over what was on record; what the machine
 * says of itself only fills gaps. It has to apply its config again: a system in RAM starts from nothing.
 */
export function enrolledMachine(
  machine: Machine,
  enrollment: Enrollment,
): { readonly machine: Machine; readonly steps: readonly StateStep[] } {
  const { token, candidate, facts, now } = enrollment;
  const { configDigest: _applied, ...kept } = machine;
  const steps = stepsToEnrolled(machine.state, token);
  const uuid = machine.uuid ?? candidate.uuid;
  const serial = machine.serial ?? candidate.serial;
  const profile = token.profile ?? machine.profile;
  return {
    steps: steps.filter(({ from, to }) => from !== to),
    machine: {
      ...kept,
      state: 'enrolled',
      stateReason: `enrolled with token ${token.id}`,
      stateSince: now,
      labels: { ...machine.labels, ...token.labels },
      facts: { ...machine.facts, ...facts },
      ...(uuid === undefined ? {} : { uuid }),
      ...(serial === undefined ? {} : { serial }),
      ...(profile === undefined ? {} : { profile }),
      address: enrollment.peerAddress,
      certificateSerial: enrollment.certificateSerial,
      lastSeenAt: now,
    },
  };
}

function stepsToEnrolled(state: MachineState, token: TokenRecord): StateStep[] {
  if (state === 'discovered') {
    const approval = {
      from: state,
      to: 'approved',
      reason: `token ${token.id} approves it`,
      by: token.createdBy,
    } as const;
    return [approval, ...stepsToEnrolled('approved', token)];
  }
  const to = nextState(state, 'enroll');
  if (to === undefined) throw new AppError('conflict', `a machine that is ${state} cannot enroll`);
  return [{ from: state, to, reason: `enrolled with token ${token.id}`, by: 'machine' }];
}
