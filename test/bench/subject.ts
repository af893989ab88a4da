// What a benchmark hands back: one table, or the reason why it could not run here.

export interface BenchTable {
  readonly kind: 'table';
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** What a reader must know to trust the figures. */
  readonly notes: readonly string[];
}

export type BenchResult = BenchTable | { readonly kind: 'skipped'; readonly title: string; readonly reason: string };

export type BenchSubject = () => Promise<BenchResult>;

export function formatTable({ title, columns, rows, notes }: BenchTable): string {
  const widths = columns.map((column, index) => Math.max(column.length, ...rows.map((row) => row[index]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!))).join('  ');
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [title, '', line(columns), rule, ...rows.map(line), '', ...notes.map((note) => `  ${note}`), ''].join('\n');
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
