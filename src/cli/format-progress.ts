// One line that shows how far a transfer is. Pure.
import { formatBytes, formatDuration } from './format-quantities.ts';
import type { Style } from './style.ts';

export interface Progress {
  readonly label: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly elapsedMs: number;
}

const BAR_WIDTH = 28;

export function formatProgress(progress: Progress, style: Style): string {
  const { doneBytes, totalBytes, elapsedMs } = progress;
  const share = totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
  const filled = Math.round(share * BAR_WIDTH);
  const rate = elapsedMs > 0 ? (doneBytes / elapsedMs) * 1000 : 0;
  const left = rate > 0 && share < 1 ? `, ${formatDuration(((totalBytes - doneBytes) / rate) * 1000)} left` : '';
  const bar = style.accent('━'.repeat(filled)) + style.faint('─'.repeat(BAR_WIDTH - filled));
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  return `  ${progress.label.padEnd(18)} ${bar} ${percent}  ${formatBytes(doneBytes)}  ${formatBytes(rate)}/s${left}`;
}

/** What stays on the screen when it is through. */
export function formatProgressEnd({ label, totalBytes, elapsedMs }: Progress, style: Style): string {
  const rate = elapsedMs > 0 ? `, ${formatBytes((totalBytes / elapsedMs) * 1000)}/s` : '';
  return `  ${label.padEnd(18)} ${style.good('✓')} ${formatBytes(totalBytes)} in ${formatDuration(elapsedMs)}${rate}\n`;
}
