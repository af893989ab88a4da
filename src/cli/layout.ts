// How wide a table may be: only a terminal has an edge.
import type { CommandTools } from './command-tools.ts';
import type { TableLayout } from './format-table.ts';

export function layoutOf({ style, output }: Pick<CommandTools, 'style' | 'output'>): TableLayout {
  return { style, columns: output.isTerminal ? output.columns : undefined };
}
