// How a member that is under way gets on: what its machine runs tells the truth, its agent only says where it is. Pure.
import type { OrderPhase } from '../machines/agent-beat.ts';
import type { Digest } from '../images/digest.ts';
import type { Member, MemberState } from './rollout.ts';
import type { MachineView, RolloutWorld } from './rollout-world.ts';
import { sayDuration } from './words.ts';

type Running = NonNullable<MachineView['running']>;

/** Where a phase puts a member; an image that was refused or failed has ended it. */
const STATE_OF_PHASE: Readonly<Record<OrderPhase, MemberState>> = {
  checking: 'updating',
  downloading: 'updating',
  writing: 'updating',
  verifying: 'updating',
  rebooting: 'rebooting',
  trial: 'rebooting',
  installed: 'rebooting',
  refused: 'failed',
  failed: 'failed',
};

/** Whether it runs the image for good: from the network for a machine without disk, else from a slot that proved healthy. */
export function runsTarget({ running, installed }: MachineView, target: Digest): boolean {
  if (running?.image !== target) return false;
  return running.source === 'disk' ? running.slotState === 'good' : !installed;
}

export type Heard = 'recently' | 'silent' | 'unknown';

/** `unknown` where the clock was put back behind the last word, or the server has not listened for long enough. */
export function lastHeard({ lastSeenAt }: MachineView, world: RolloutWorld): Heard {
  const { now, offlineAfterMs, listeningSince = -Infinity } = world;
  if (lastSeenAt > now) return 'unknown';
  if (now - lastSeenAt <= offlineAfterMs) return 'recently';
  return listeningSince <= now && now - listeningSince <= offlineAfterMs ? 'unknown' : 'silent';
}

/** The member after all that the world says of it: the same object where nothing is new. */
export function advanceMember(member: Member, world: RolloutWorld): Member {
  const anchored = withoutFuture(member, world.now);
  const machine = world.machines.get(member.machineId);
  const outcome = machine === undefined ? failed('it is not on record any more') : stepOf(anchored, machine, world);
  if (outcome === undefined) return anchored;
  const { state = anchored.state, ...rest } = outcome;
  return state === anchored.state && rest.restart !== true
    ? { ...anchored, ...rest.details }
    : { ...anchored, ...rest.details, state, reason: rest.reason ?? anchored.reason, since: world.now };
}

/** When to look at it again though it says nothing: all the moments that `advanceMember` compares with. */
export function nextLookAt(member: Member, world: RolloutWorld): number | undefined {
  const { now, offlineAfterMs } = world;
  const moments =
    member.state === 'soaking'
      ? [
          member.since + soakMs(world),
          member.since + soakMs(world) + offlineAfterMs,
          (world.machines.get(member.machineId)?.lastSeenAt ?? now) + offlineAfterMs + 1,
          (world.listeningSince ?? now) + offlineAfterMs + 1,
        ]
      : [deadlineAt(member, world)];
  const ahead = moments.filter((moment) => moment > now);
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}

interface Step {
  readonly state?: MemberState;
  readonly reason?: string;
  /** The same state begins anew. */
  readonly restart?: true;
  readonly details?: { readonly bootId?: string; readonly doneBytes?: number };
}

function failed(reason: string): Step {
  return { state: 'failed', reason };
}

function stepOf(member: Member, machine: MachineView, world: RolloutWorld): Step | undefined {
  if (machine.state === 'retired') return failed('the machine was retired');
  if (machine.state === 'failed') return failed('the machine failed: its configuration could not be applied');
  return member.state === 'soaking' ? soakStep(member, machine, world) : installStep(member, machine, world);
}

function soakStep(member: Member, machine: MachineView, world: RolloutWorld): Step | undefined {
  const { now, offlineAfterMs } = world;
  const { running, report } = machine;
  const soaked = now - member.since;
  const heard = lastHeard(machine, world);
  if (running !== undefined && !runsTarget(machine, world.rollout.spec.image.digest))
    return failed(cameUpOtherwise(machine, running, world));
  if (report !== undefined && STATE_OF_PHASE[report.phase] === 'failed' && report.at > member.since)
    return failed(reportedFailure(report));
  if (heard === 'silent')
    return failed(`it fell silent while it soaked: no word for ${sayDuration(now - machine.lastSeenAt)}`);
  if (running !== undefined && hasRestarted(member, running)) {
    // Bounded, or a machine that restarts again and again would hold the wave for ever.
    return now < deadlineAt(member, world) + soakMs(world)
      ? {
          state: 'soaking',
          restart: true,
          reason: 'it restarted, so the soak begins anew',
          details: { bootId: running.bootId },
        }
      : failed('it restarted while it soaked, after its deadline');
  }
  if (soaked >= soakMs(world) && heard === 'recently')
    return { state: 'succeeded', reason: `healthy on the image for ${sayDuration(soakMs(world))}` };
  if (soaked >= soakMs(world) + offlineAfterMs) return failed('it was not heard of when its soak ended');
  return undefined;
}

function installStep(member: Member, machine: MachineView, world: RolloutWorld): Step | undefined {
  const { running, report, failedImage } = machine;
  const target = world.rollout.spec.image.digest;
  if (running !== undefined && runsTarget(machine, world.rollout.spec.image.digest))
    return { state: 'soaking', reason: 'it runs the image', details: { bootId: running.bootId } };
  if (report !== undefined && STATE_OF_PHASE[report.phase] === 'failed') return failed(reportedFailure(report));
  if (running !== undefined && running.image !== target && hasRestarted(member, running)) {
    const saidSo = report !== undefined && isLeaving(report.phase) && report.at < running.since;
    if (member.state === 'rebooting' || saidSo || failedImage?.digest === target)
      return failed(cameUpOtherwise(machine, running, world));
  }
  if (world.now >= deadlineAt(member, world))
    return failed(`it did not boot the image within ${sayDuration(world.rollout.spec.deadlineSeconds * 1000)}`);
  const state = stateFrom(member.state, report?.phase, running?.image === target);
  const details = detailsOf(member, machine);
  const isNew = Object.entries(details).some(([key, value]) => member[key as keyof typeof details] !== value);
  if (state === member.state) return isNew ? { details } : undefined;
  return { state, reason: state === 'rebooting' ? 'on its way into the image' : 'works on the image', details };
}

/** Forward only: an agent that starts over does not take back that the machine was about to leave. */
function stateFrom(state: MemberState, phase: OrderPhase | undefined, isOnTrial: boolean): MemberState {
  if (state === 'rebooting' || isOnTrial) return 'rebooting';
  return phase === undefined ? state : STATE_OF_PHASE[phase];
}

function isLeaving(phase: OrderPhase): boolean {
  return STATE_OF_PHASE[phase] === 'rebooting';
}

/** Before it leaves, the boot it is on may still change: a restart on the old image is no failure then. */
function detailsOf(member: Member, { running, report }: MachineView): NonNullable<Step['details']> {
  const doneBytes = report?.doneBytes;
  return {
    ...(running === undefined || member.state === 'rebooting' ? {} : { bootId: running.bootId }),
    ...(doneBytes === undefined ? {} : { doneBytes }),
  };
}

function hasRestarted(member: Member, running: Running): boolean {
  return member.bootId === undefined ? running.since > member.since : running.bootId !== member.bootId;
}

function cameUpOtherwise(machine: MachineView, running: Running, world: RolloutWorld): string {
  const target = world.rollout.spec.image.digest;
  const why = machine.failedImage?.digest === target ? `: ${machine.failedImage.reason}` : '';
  if (running.image === target) return `it runs the image from the ${running.source}, and no good slot${why}`;
  return `it came up with ${running.image.slice(0, 19)} instead${why}`;
}

function reportedFailure({ phase, reason }: NonNullable<MachineView['report']>): string {
  return `the agent ${phase === 'refused' ? 'refused the image' : 'failed'}: ${reason ?? 'it gave no reason'}`;
}

function soakMs({ rollout }: RolloutWorld): number {
  return rollout.spec.soakSeconds * 1000;
}

/** A server that was away gives its machines the time to be heard first. */
function deadlineAt(member: Member, world: RolloutWorld): number {
  const { now, offlineAfterMs, listeningSince = -Infinity } = world;
  const planned = (member.grantedAt ?? member.since) + Math.max(1, world.rollout.spec.deadlineSeconds) * 1000;
  return listeningSince > now ? planned : Math.max(planned, listeningSince + offlineAfterMs);
}

/** After the clock was put back, a deadline would be as far away as the jump was wide. */
function withoutFuture(member: Member, now: number): Member {
  const { since, grantedAt = since } = member;
  return since <= now && grantedAt <= now
    ? member
    : { ...member, since: Math.min(since, now), grantedAt: Math.min(grantedAt, now) };
}
