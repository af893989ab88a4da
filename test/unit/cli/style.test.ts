import { describe, expect, it } from 'vitest';
import { chooseStyle, PLAIN, printable } from '../../../src/cli/style.ts';

describe('chooseStyle', () => {
  it('colours on a terminal alone, and never against NO_COLOR (no-color.org)', () => {
    expect(chooseStyle(true, {}).good('up')).toBe('\u001b[32mup\u001b[39m');
    expect(chooseStyle(false, {})).toBe(PLAIN);
    expect(chooseStyle(true, { NO_COLOR: '1' })).toBe(PLAIN);
    expect(chooseStyle(true, { NO_COLOR: '' })).not.toBe(PLAIN);
    expect(chooseStyle(true, { TERM: 'dumb' })).toBe(PLAIN);
  });
});

describe('printable', () => {
  it('shows as escapes what could move the cursor, break the line or turn the reading direction', () => {
    expect(printable('a\u001b[2Jb\nc\u009bd\u202ee')).toBe('a\\u{1b}[2Jb\\u{a}c\\u{9b}d\\u{202e}e');
  });

  it('leaves ordinary names of all languages alone', () => {
    expect(printable('Łódź-01 サーバー')).toBe('Łódź-01 サーバー');
  });
});
