import { describe, expect, it } from 'vitest';
import {
  formatAge,
  formatBytes,
  formatDate,
  formatDuration,
  formatTimeOfDay,
} from '../../../src/cli/format-quantities.ts';

const NOW = Date.UTC(2026, 0, 1, 12);

describe('formatDuration', () => {
  it.each([
    [0, '0.0 s'],
    [440, '0.4 s'],
    [59_900, '59.9 s'],
    [63_000, '1 min 3 s'],
    [7_500_000, '2 h 5 min'],
    [3 * 86_400_000, '3 days'],
  ])('%i ms is %s', (milliseconds, expected) => {
    expect(formatDuration(milliseconds)).toBe(expected);
  });
});

describe('formatAge', () => {
  it.each([
    [NOW - 3000, '3 s ago'],
    [NOW - 400, 'now'],
    [NOW + 400, 'now'],
    [NOW - 600_000, '10 min ago'],
    [NOW + 14 * 60_000, 'in 14 min'],
    [NOW - 49 * 3_600_000, '2 days ago'],
  ])('%i is %s', (at, expected) => {
    expect(formatAge(at, NOW)).toBe(expected);
  });
});

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [850, '850 B'],
    [1024, '1.00 KiB'],
    [850_528, '831 KiB'],
    [1023.9 * 1024, '1.00 MiB'],
    [168_411_136, '161 MiB'],
    [17_179_869_184, '16.0 GiB'],
  ])('%d is %s', (bytes, expected) => {
    expect(formatBytes(bytes)).toBe(expected);
  });
});

describe('formatTimeOfDay and formatDate', () => {
  it('are in the local zone and of one width', () => {
    const at = new Date(2026, 2, 4, 5, 6, 7, 8).getTime();
    expect(formatTimeOfDay(at)).toBe('05:06:07.008');
    expect(formatDate(at)).toBe('2026-03-04 05:06:07');
  });
});
