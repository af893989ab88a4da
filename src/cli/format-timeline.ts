// The way of one boot, step by step, with the seconds that each took and the total. Pure.
import type { BootEvent } from '../events/boot-event.ts';
import { sentenceOf, toneOf } from './format-events.ts';
import { formatBytes, formatDate } from './format-quantities.ts';
import type { Style } from './style.ts';

const BAR_WIDTH = 12;

export interface TimelineStep {
  readonly event: BootEvent;
  /** `DISCOVER`, `loader`, `active`: the step on the way; undefined for what happened beside it. */
  readonly step: string | undefined;
  readonly sinceStartMs: number;
  readonly sincePreviousMs: number;
  /** How often the same happened in a row. */
  readonly times: number;
}

/** Steps in the order of time. The same event again at once (firmware asks twice) counts as one step. */
export function timelineOf(events: readonly BootEvent[]): readonly TimelineStep[] {
  const ordered = [...events].sort((a, b) => a.seq - b.seq);
  const start = ordered[0]?.at ?? 0;
  const steps: TimelineStep[] = [];
  for (const event of ordered) {
    if (isSaidAlready(event)) continue;
    const last = steps.at(-1);
    if (last !== undefined && sentenceOf(last.event) === sentenceOf(event)) {
      steps[steps.length - 1] = { ...last, times: last.times + 1 };
      continue;
    }
    const sincePreviousMs = event.at - (last?.event.at ?? start);
    steps.push({ event, step: stepOf(event), sinceStartMs: event.at - start, sincePreviousMs, times: 1 });
  }
  return steps;
}

export function formatTimeline(events: readonly BootEvent[], style: Style): string {
  const steps = timelineOf(events);
  const first = steps[0];
  if (first === undefined) return '\n  No boot on record.\n\n';
  const longest = Math.max(...steps.map((step) => step.sincePreviousMs), 1);
  const lines = steps.map((step) => formatStep(step, longest, style));
  return [
    '',
    `  ${style.strong('Boot')}  ${formatDate(first.event.at)}`,
    '',
    ...lines,
    '',
    `  ${formatTotal(steps, style)}`,
    '',
    '',
  ].join('\n');
}

function formatStep(step: TimelineStep, longestMs: number, style: Style): string {
  const tone = toneOf(step.event, style);
  const times = step.times > 1 ? style.faint(` ×${step.times}`) : '';
  const bar = '▪'.repeat(Math.round((step.sincePreviousMs / longestMs) * BAR_WIDTH)).padEnd(BAR_WIDTH);
  return [
    ` ${seconds(step.sinceStartMs).padStart(8)}`,
    style.faint(`+${seconds(step.sincePreviousMs)}`.padStart(8)),
    style.accent(bar),
    (step.step ?? '').padEnd(11),
    tone(sentenceOf(step.event)) + amountOf(step.event, style) + times,
  ]
    .join('  ')
    .trimEnd();
}

/** From the first step to `active`; where that was not reached, as far as it came. */
function formatTotal(steps: readonly TimelineStep[], style: Style): string {
  const from = steps.find((step) => step.step !== undefined) ?? steps[0];
  const to = steps.find((step) => step.step === 'active') ?? steps.findLast((step) => step.step !== undefined);
  if (from === undefined || to === undefined) return '';
  const total = seconds(to.event.at - from.event.at);
  const reached = to.step === 'active' ? style.good : style.warn;
  const remark = to.step === 'active' ? '' : style.faint('  (not active yet)');
  return `${style.strong('Total')}  ${total}  ${style.faint(`${from.step ?? ''} → `)}${reached(to.step ?? '')}${remark}`;
}

function stepOf(event: BootEvent): string | undefined {
  switch (event.kind) {
    case 'dhcp-discover':
      return 'DISCOVER';
    case 'dhcp-offer':
      return 'OFFER';
    case 'dhcp-pxe-request':
      return 'REQUEST';
    case 'dhcp-pxe-ack':
      return 'ACK';
    case 'loader-served':
      return event.details.transport.toUpperCase();
    case 'script-served':
      return 'script';
    case 'kernel-served':
      return 'kernel';
    case 'initrd-served':
      return 'initrd';
    case 'squashfs-served':
      return 'squashfs';
    case 'enrolled':
      return 'enrolled';
    case 'config-applied':
      return 'configured';
    case 'machine-state':
      return event.details.to;
    default:
      return undefined;
  }
}

/** These changes of state follow from an event that stands in the line before. */
function isSaidAlready(event: BootEvent): boolean {
  return event.kind === 'machine-state' && ['enrolled', 'configured'].includes(event.details.to);
}

function amountOf(event: BootEvent, style: Style): string {
  if (!('sizeBytes' in event.details)) return '';
  const { sizeBytes, durationMs } = event.details;
  const rate = durationMs > 0 ? `, ${formatBytes((sizeBytes / durationMs) * 1000)}/s` : '';
  return style.faint(` (${formatBytes(sizeBytes)}${rate})`);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
