import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { formatFacts, formatTable } from '../../../src/cli/format-table.ts';
import { chooseStyle, PLAIN } from '../../../src/cli/style.ts';

const WIDE = { style: PLAIN, columns: undefined };

describe('formatTable', () => {
  it('sets columns apart by space alone, without spaces at the end of a line', () => {
    const table = formatTable(
      ['name', 'size'],
      [
        ['ipxe.efi', '831 KiB'],
        ['x', '–'],
      ],
      WIDE,
    );
    expect(table).toBe(['  NAME       SIZE', '  ipxe.efi   831 KiB', '  x          –', ''].join('\n'));
  });

  it('lines up coloured cells as plain ones', () => {
    const style = chooseStyle(true, {});
    const table = formatTable(['a', 'b'], [[style.good('up'), 'x']], { style, columns: undefined });
    expect(stripVTControlCharacters(table)).toBe('  A    B\n  up   x\n');
  });

  it('cuts the last column at the edge of a terminal', () => {
    const table = formatTable(['a', 'b'], [['x', 'y'.repeat(200)]], { style: PLAIN, columns: 60 });
    const longest = Math.max(...table.split('\n').map((line) => line.length));
    expect(longest).toBeLessThanOrEqual(60);
    expect(table).toContain('…');
  });
});

describe('formatFacts', () => {
  it('keeps a value of several lines in its column', () => {
    expect(
      formatFacts(
        [
          ['MAC', 'one\ntwo'],
          ['Address', 'x'],
        ],
        PLAIN,
      ),
    ).toBe(['  MAC       one', '            two', '  Address   x', ''].join('\n'));
  });
});
