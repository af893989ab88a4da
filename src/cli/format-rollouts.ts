// Rollouts for people: what one would do, how far it is, and what holds a machine back. Pure.
import { formatMaintenanceWindow } from '../rollouts/maintenance-window.ts';
import { formatSelector } from '../rollouts/selector.ts';
import { formatShare, type Share } from '../rollouts/share.ts';
import { formatAge, formatBytes, formatDate, formatDuration } from './format-quantities.ts';
import { formatFacts, formatTable, type TableLayout } from './format-table.ts';
import type {
  FreezeAnswer,
  MemberAnswer,
  PreviewAnswer,
  ProgressAnswer,
  RolloutAnswer,
  WhyAnswer,
} from './rollout-answers.ts';
import { printable, type Style } from './style.ts';

const NAMES_SHOWN = 5;
const MINUTE_MS = 60_000;
const BAR_CELLS = 30;

/** What a draft would do, and the command to go on with. */
export function formatPreview(rollout: RolloutAnswer, preview: PreviewAnswer, layout: TableLayout): string {
  const { style } = layout;
  const skipped = preview.members.filter(({ skip }) => skip !== undefined);
  let end = 0;
  const rows = preview.waves.map(({ size, machines, bytes, leastMinutes }, index) => {
    end += size;
    return [
      String(index + 1),
      `${machines.length}`,
      `${end} of ${rollout.memberCount}`,
      formatBytes(bytes),
      formatDuration(leastMinutes * MINUTE_MS),
      namesOf(machines),
    ];
  });
  const table = formatTable(['wave', 'machines', 'in all', 'bytes', 'at least', 'who'], rows, layout);
  const left =
    skipped.length === 0
      ? ''
      : `  ${style.faint(`${skipped.length} have nothing to do: ${namesOf(skipped.map(({ name }) => name))}`)}\n`;
  return (
    `${style.strong(`  Rollout ${rollout.id}`)} ${style.faint('(a draft: nothing happens before it is approved)')}\n` +
    formatFacts(factsOf(rollout, preview), style) +
    `\n${table}${left}\n  Next: ${style.strong(`muster rollouts approve ${rollout.id}`)}\n`
  );
}

export function formatRollouts(rollouts: readonly RolloutAnswer[], now: number, layout: TableLayout): string {
  if (rollouts.length === 0)
    return '  No rollouts yet. Make one: muster rollouts create --image NAME:TAG --to group=edge\n';
  const rows = rollouts.map((rollout) => [
    layout.style.strong(rollout.id),
    colouredState(rollout.state, layout.style),
    imageName(rollout),
    String(rollout.memberCount),
    formatAge(rollout.stateSince, now),
    printable(rollout.stateReason),
  ]);
  return formatTable(['rollout', 'state', 'image', 'machines', 'since', 'why'], rows, layout);
}

export function formatRollout({ rollout, ...progress }: ProgressAnswer, now: number, layout: TableLayout): string {
  const rows = progress.members.map((member) => [
    String(waveOf(progress.waves, member) + 1),
    printable(member.name),
    colouredState(member.state, layout.style),
    formatAge(member.since, now),
    printable(member.reason),
  ]);
  return (
    `${formatProgress({ rollout, ...progress }, layout.style)}\n` +
    formatTable(['wave', 'machine', 'state', 'since', 'why'], rows, layout)
  );
}

/** A bar for each wave, and what the rollout waits for. */
export function formatProgress(answer: ProgressAnswer, style: Style): string {
  const { rollout, waves, members, waitingFor } = answer;
  const bars = waves.map((end, index) => {
    const wave = members.filter((member) => waveOf(waves, member) === index);
    const name = index <= rollout.wave ? `wave ${index + 1}` : style.faint(`wave ${index + 1}`);
    return `  ${name}  ${barOf(wave, style)}  ${countsOf(wave)}\n`;
  });
  const wait = waitingFor === '' ? '' : `  ${style.faint(`waits: ${printable(waitingFor)}`)}\n`;
  return (
    `  ${style.strong(rollout.id)} ${colouredState(rollout.state, style)}: ${printable(rollout.stateReason)} ` +
    `${style.faint(imageName(rollout))}\n${bars.join('')}${wait}`
  );
}

export function formatWhy({ machine, rollouts }: WhyAnswer, layout: TableLayout): string {
  const { style } = layout;
  const name = style.strong(printable(machine.hostname ?? machine.id));
  if (rollouts.length === 0) return `  ${name} is in no rollout that goes on\n`;
  return rollouts
    .map(({ rollout, member, holds }) => {
      const head = `  ${name} in ${rollout.id} (${rollout.state}, ${printable(rollout.image)}): ${colouredState(member.state, style)}, ${printable(member.reason)}\n`;
      if (holds.length === 0) return `${head}  Nothing holds it back.\n`;
      return (
        head +
        formatTable(
          ['rule', 'why'],
          holds.map(({ rule, detail }) => [style.warn(rule), printable(detail)]),
          layout,
        )
      );
    })
    .join('\n');
}

export function formatFreezes(freezes: readonly FreezeAnswer[], now: number, layout: TableLayout): string {
  if (freezes.length === 0) return '  Nothing is frozen.\n';
  const rows = freezes.map(({ id, labels, from, until, by, note }) => [
    layout.style.strong(id),
    printable(selectorOf(labels)),
    from > now ? `begins ${formatAge(from, now)}` : layout.style.warn('in force'),
    formatDate(until),
    printable(by),
    printable(note),
  ]);
  return formatTable(['freeze', 'machines', 'now', 'until', 'by', 'note'], rows, layout);
}

function factsOf(rollout: RolloutAnswer, preview: PreviewAnswer): readonly (readonly [string, string])[] {
  const { spec } = rollout;
  const { image, window } = spec;
  return [
    ['image', imageName(rollout)],
    ['digest', image.digest],
    ['to', printable(formatSelector(spec.selector))],
    ['size', `${formatBytes(image.sizeBytes)} a machine, ${formatBytes(preview.totalBytes)} in all`],
    ['under way', `at most ${limit(spec.maxUnavailable)} at a time`],
    ['halts', `after more failures than ${limit(spec.maxFailures)} of a wave or of all`],
    [
      'soak',
      `${formatDuration(spec.soakSeconds * 1000)}; a machine has ${formatDuration(spec.deadlineSeconds * 1000)} to boot it`,
    ],
    ...(window === undefined ? [] : [['window', formatMaintenanceWindow(window)] as const]),
    ...(spec.allowDowngrade ? [['downgrade', 'allowed'] as const] : []),
    ...(spec.autoRollback ? [['auto-rollback', 'after a halt, machines go back to what they ran'] as const] : []),
    [
      'joiners',
      spec.joiners === 'ignore'
        ? 'machines that join later are left out'
        : 'machines that join later are in the last wave',
    ],
  ];
}

function limit(share: { readonly kind: 'count' | 'share' }): string {
  return formatShare(share as Share);
}

function imageName({ spec }: RolloutAnswer): string {
  const { repository, version, digest } = spec.image;
  return `${printable(repository)} ${version === undefined ? digest.slice(0, 19) : printable(version)}`;
}

function waveOf(waves: readonly number[], { place }: Pick<MemberAnswer, 'place'>): number {
  const index = waves.findIndex((end) => place < end);
  return index < 0 ? waves.length - 1 : index;
}

function barOf(members: readonly MemberAnswer[], style: Style): string {
  const count = (...states: readonly string[]): number => members.filter(({ state }) => states.includes(state)).length;
  const cells = (part: number): number => (members.length === 0 ? 0 : Math.round((part / members.length) * BAR_CELLS));
  const good = cells(count('succeeded', 'skipped'));
  const bad = Math.min(BAR_CELLS - good, count('failed') === 0 ? 0 : Math.max(1, cells(count('failed'))));
  const moving = Math.min(BAR_CELLS - good - bad, cells(count('granted', 'updating', 'rebooting', 'soaking')));
  const rest = BAR_CELLS - good - bad - moving;
  return (
    style.good('█'.repeat(good)) +
    style.bad('█'.repeat(bad)) +
    style.warn('▒'.repeat(moving)) +
    style.faint('░'.repeat(rest))
  );
}

function countsOf(members: readonly MemberAnswer[]): string {
  const counts = new Map<string, number>();
  for (const { state } of members) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}

function colouredState(state: string, style: Style): string {
  switch (state) {
    case 'finished':
    case 'succeeded':
      return style.good(state);
    case 'halted':
    case 'failed':
    case 'aborted':
      return style.bad(state);
    case 'running':
    case 'paused':
    case 'granted':
    case 'updating':
    case 'rebooting':
    case 'soaking':
      return style.warn(state);
    default:
      return printable(state);
  }
}

function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN).map(printable).join(', ');
  return names.length > NAMES_SHOWN ? `${shown}, … ${names.length - NAMES_SHOWN} more` : shown;
}

function selectorOf(labels: Readonly<Record<string, string>>): string {
  const words = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return words.length === 0 ? 'all' : words.join(',');
}
