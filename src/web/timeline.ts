// A machine's events as steps with times between them: what the timeline shows. Pure.
import { describeEvent, type BootEvent, type BootEventKind } from '../events/boot-event.ts';
import { formatBytes, formatSpan } from './format.ts';

/** Parts of the way; each has its colour. */
export type Phase = 'network' | 'loader' | 'image' | 'identity' | 'config' | 'waiting' | 'trouble' | 'state' | 'note';

export interface TimelineStep {
  readonly key: number;
  readonly phase: Phase;
  readonly label: string;
  readonly sentence: string;
  /** Sizes and speed of a transfer. */
  readonly detail?: string;
  readonly at: number;
  /** Milliseconds since the step before, or 0. */
  readonly sincePreviousMs: number;
  /** How many equal events in a row this step stands for. */
  readonly count: number;
}

export interface Timeline {
  readonly steps: readonly TimelineStep[];
  /** From the first event to the one that made the machine active, or else to the last. */
  readonly totalMs: number;
  readonly isComplete: boolean;
  /** Where the time went: each stretch belongs to the phase of the event that ended it. */
  readonly shares: readonly { readonly phase: Phase; readonly startMs: number; readonly lengthMs: number }[];
}

const KINDS: Readonly<Record<BootEventKind, readonly [label: string, phase: Phase]>> = {
  'machine-discovered': ['Discovered', 'network'],
  'machine-state': ['State', 'state'],
  'dhcp-discover': ['DHCP', 'network'],
  'dhcp-offer': ['DHCP', 'network'],
  'dhcp-pxe-request': ['PXE', 'network'],
  'dhcp-pxe-ack': ['PXE', 'network'],
  'dhcp-no-loader': ['DHCP', 'trouble'],
  'dhcp-silence': ['DHCP', 'note'],
  'loader-served': ['Loader', 'loader'],
  'loader-failed': ['Loader', 'trouble'],
  'script-served': ['Script', 'loader'],
  'kernel-served': ['Kernel', 'image'],
  'initrd-served': ['Initrd', 'image'],
  'squashfs-served': ['Root', 'image'],
  'boot-token-served': ['Token', 'identity'],
  'boot-refused': ['Refused', 'trouble'],
  'seed-served': ['Seed', 'config'],
  enrolled: ['Enrolled', 'identity'],
  'enrollment-refused': ['Refused', 'trouble'],
  'certificate-renewed': ['Renewed', 'identity'],
  'config-served': ['Config', 'config'],
  'config-applied': ['Applied', 'config'],
  'config-failed': ['Failed', 'trouble'],
  'machine-booted': ['Runs', 'state'],
  'machine-installed': ['Installed', 'state'],
  'machine-reinstall': ['Reinstall', 'state'],
  'order-progress': ['Order', 'image'],
  'slot-fallback': ['Fallback', 'trouble'],
  'disk-boot-failed': ['Disk', 'trouble'],
  'rollout-created': ['Rollout', 'note'],
  'rollout-state': ['Rollout', 'note'],
  'rollout-wave': ['Rollout', 'note'],
  'rollout-member': ['Rollout', 'state'],
  'machine-pinned': ['Pin', 'state'],
  'fleet-frozen': ['Freeze', 'note'],
  'token-created': ['Token', 'identity'],
  'token-revoked': ['Token', 'identity'],
  'image-stored': ['Image', 'note'],
  'image-ready': ['Image', 'note'],
  'image-refused': ['Image', 'trouble'],
  'image-untrusted': ['Untrusted', 'trouble'],
  'channel-promoted': ['Channel', 'note'],
  'channel-rolled-back': ['Channel', 'note'],
  'channel-removed': ['Channel', 'note'],
  'agent-message': ['Agent', 'note'],
  'server-started': ['Server', 'note'],
};

/** `events` oldest first. */
export function timelineOf(events: readonly BootEvent[]): Timeline {
  const start = events[0]?.at ?? 0;
  const activeAt = events.find((event) => event.kind === 'machine-state' && event.details.to === 'active')?.at;
  const end = activeAt ?? events.at(-1)?.at ?? start;
  return {
    steps: stepsOf(events),
    totalMs: end - start,
    isComplete: activeAt !== undefined,
    shares: sharesOf(events, end),
  };
}

function stepsOf(events: readonly BootEvent[]): readonly TimelineStep[] {
  const steps: TimelineStep[] = [];
  let previousAt: number | undefined;
  for (const event of events) {
    const step = stepOf(event, previousAt === undefined ? 0 : event.at - previousAt);
    const last = steps.at(-1);
    // A machine that waits asks for the same thing every few seconds: one step with a count.
    if (last?.sentence === step.sentence && last.label === step.label) {
      steps[steps.length - 1] = { ...last, count: last.count + 1 };
    } else {
      steps.push(step);
    }
    previousAt = event.at;
  }
  return steps;
}

function stepOf(event: BootEvent, sincePreviousMs: number): TimelineStep {
  const [label] = KINDS[event.kind];
  const detail = transferDetail(event);
  return {
    ...{ key: event.seq, phase: phaseOf(event), label, sentence: describeEvent(event), at: event.at },
    ...(detail !== undefined && { detail }),
    ...{ sincePreviousMs, count: 1 },
  };
}

function phaseOf(event: BootEvent): Phase {
  if (event.kind === 'machine-state' && event.details.to === 'failed') return 'trouble';
  if (event.kind === 'script-served' && event.details.plan === 'wait') return 'waiting';
  if (event.kind === 'agent-message' && event.details.level !== 'info') return 'trouble';
  return KINDS[event.kind][1];
}

function transferDetail(event: BootEvent): string | undefined {
  switch (event.kind) {
    case 'loader-served':
    case 'kernel-served':
    case 'initrd-served':
    case 'squashfs-served': {
      const { sizeBytes, durationMs } = event.details;
      const speed = durationMs < 50 ? '' : `, ${formatBytes((sizeBytes * 1000) / durationMs)}/s`;
      return `${formatBytes(sizeBytes)} in ${formatSpan(durationMs)}${speed}`;
    }
    default:
      return undefined;
  }
}

function sharesOf(events: readonly BootEvent[], end: number): Timeline['shares'] {
  const start = events[0]?.at ?? 0;
  const shares: { phase: Phase; startMs: number; lengthMs: number }[] = [];
  let reached = start;
  for (const event of events) {
    if (event.at > end) break;
    const phase = phaseOf(event);
    const last = shares.at(-1);
    // A state or a note tells nothing of what took the time: it goes to what went on before.
    if (last !== undefined && (phase === last.phase || phase === 'state' || phase === 'note')) {
      last.lengthMs += event.at - reached;
    } else if (event.at > reached) {
      shares.push({ phase, startMs: reached - start, lengthMs: event.at - reached });
    }
    reached = event.at;
  }
  return shares;
}
