// Channels, their history and signatures for people. Pure.
import type { MoveAnswer, SignaturesAnswer } from './channel-answers.ts';
import { formatAge } from './format-quantities.ts';
import { formatTable, type TableLayout } from './format-table.ts';
import { printable, type Style } from './style.ts';

export function formatChannels(channels: readonly MoveAnswer[], now: number, layout: TableLayout): string {
  if (channels.length === 0)
    return '  No channels yet. Make one: muster images channels promote NAME@CHANNEL --to NAME:TAG --note TEXT\n';
  const rows = channels.map((move) => [
    layout.style.strong(`${printable(move.repository)}@${printable(move.channel)}`),
    shortDigest(move.digest),
    printable(move.reference),
    move.before === undefined ? '–' : shortDigest(move.before.digest),
    ...remarkOf(move, now),
  ]);
  return formatTable(['channel', 'digest', 'as', 'before', 'since', 'by', 'note'], rows, layout);
}

export function formatHistory(moves: readonly MoveAnswer[], now: number, layout: TableLayout): string {
  const rows = moves.map((move, index) => [
    index === 0 && move.kind !== 'removed' ? layout.style.good(`#${move.number}`) : `#${move.number}`,
    move.kind === 'promoted' ? 'promoted' : layout.style.warn(move.kind === 'removed' ? 'removed' : 'rolled back'),
    shortDigest(move.digest),
    printable(move.reference),
    ...remarkOf(move, now),
  ]);
  return formatTable(['move', 'what', 'digest', 'as', 'when', 'by', 'note'], rows, layout);
}

/** One line about a channel that was asked to move. */
export function formatMove(
  { changed, move, from }: { changed: boolean; move: MoveAnswer; from?: string | undefined },
  style: Style,
): string {
  const name = style.strong(`${printable(move.repository)}@${printable(move.channel)}`);
  const target = `${shortDigest(move.digest)} (${printable(move.reference)})`;
  if (move.kind === 'removed') return `  ${style.good('✓')} ${name} is removed; it pointed to ${target}\n`;
  if (!changed) return `  ${name} points to ${target} already\n`;
  const before = from === undefined ? '' : `, before ${shortDigest(from)}`;
  return `  ${style.good('✓')} ${name} points to ${target}${before}\n`;
}

export function formatSignatures(answer: SignaturesAnswer, layout: TableLayout): string {
  const { style } = layout;
  const image = style.strong(`${printable(answer.image)}@${printable(answer.digest)}`);
  const rows = answer.signatures.map(({ place, verdict }) => [
    verdict.kind === 'valid' ? style.good('valid') : style.bad('does not count'),
    printable(verdict.kind === 'valid' ? `by ${verdict.key}` : verdict.reason),
    shortPlace(place),
  ]);
  const table =
    rows.length === 0 ? '  It has no signature.\n' : formatTable(['signature', 'why', 'found at'], rows, layout);
  const { decision } = answer;
  const word =
    decision.kind === 'trusted'
      ? style.good('✓ trusted')
      : `${style.bad('✗ not trusted')}: ${printable(decision.reason)}`;
  return `  ${image}\n${table}  ${word}\n`;
}

function remarkOf(move: MoveAnswer, now: number): readonly string[] {
  return [formatAge(move.at, now), printable(move.by), printable(move.note === '' ? '–' : move.note)];
}

/** Enough to tell images apart; the whole digest is in `--json`. */
function shortDigest(digest: string): string {
  return printable(digest.replace(/^(sha\d+:[0-9a-f]{12}).*$/, '$1'));
}

function shortPlace(place: string): string {
  return place.endsWith('.sig') ? 'the .sig tag' : `referrer ${shortDigest(place)}`;
}
