// Tables without lines: columns that stand apart by space alone. Pure.
import Table from 'cli-table3';
import { stripVTControlCharacters } from 'node:util';
import type { Style } from './style.ts';

const NO_LINES = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '' },
  ...{ bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
  ...{ left: '  ', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '   ' },
};

export interface TableLayout {
  readonly style: Style;
  /** The last column is cut so that lines fit; undefined where nobody looks at a screen. */
  readonly columns: number | undefined;
}

/** Cells must be printable; they may be coloured. The head is in capitals and faint. Ends with a newline. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  layout: TableLayout,
): string {
  const lastWidth = widthOfLastColumn(head, rows, layout.columns);
  const table = new Table({
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    ...(lastWidth === undefined ? {} : { colWidths: [...head.slice(1).map(() => null), lastWidth] }),
  });
  table.push(head.map((title) => layout.style.faint(title.toUpperCase())));
  table.push(...rows.map((row) => [...row]));
  return `${table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

/** Names to the left, values to the right; a value of several lines stays in its column. */
export function formatFacts(facts: readonly (readonly [string, string])[], style: Style): string {
  const width = Math.max(...facts.map(([name]) => name.length)) + 3;
  return facts
    .flatMap(([name, value]) =>
      value.split('\n').map((line, index) => `  ${style.faint((index === 0 ? name : '').padEnd(width))}${line}`),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

/** What is left for the last column, where it has to be cut. */
function widthOfLastColumn(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  columns: number | undefined,
): number | undefined {
  if (columns === undefined) return undefined;
  const widths = head.map((title, index) => Math.max(...[title, ...rows.map((row) => row[index] ?? '')].map(widthOf)));
  const others = widths.slice(0, -1).reduce((sum, width) => sum + width + 3, 2);
  const left = Math.max(20, columns - others);
  return (widths.at(-1) ?? 0) > left ? left : undefined;
}

function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}
