// What became of each machine in each step of an upgrade story, with times, as a table. Pure.

export interface UpgradeStep {
  readonly step: string;
  readonly machine: string;
  /** Since the step began. */
  readonly seconds: number;
  readonly result: string;
}

export function renderUpgradeTable(steps: readonly UpgradeStep[]): string {
  const head = ['STEP', 'MACHINE', 'SECONDS', 'RESULT'];
  const rows = steps.map(({ step, machine, seconds, result }) => [step, machine, seconds.toFixed(0), result]);
  const widths = head.map((title, column) => Math.max(...[head, ...rows].map((row) => (row[column] ?? title).length)));
  return [head, ...rows]
    .map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ')}`.trimEnd())
    .join('\n');
}
