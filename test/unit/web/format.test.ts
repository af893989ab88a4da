import { describe, expect, it } from 'vitest';
import { formatAgo, formatBytes, formatMemory, formatSpan, formatStep } from '../../../src/web/format.ts';

describe('quantities for people', () => {
  it.each([
    [0, 'just now'],
    [4_999, 'just now'],
    [59_999, '59 s ago'],
    [60_000, '1 min ago'],
    [7_200_000, '2 h ago'],
    [200_000_000, '2 d ago'],
    [-5_000, 'just now'],
  ])('%i ms ago is "%s"', (milliseconds, text) => {
    expect(formatAgo(milliseconds)).toBe(text);
  });

  it.each([
    [0, '0.0 s'],
    [9_949, '9.9 s'],
    [9_950, '10 s'],
    [84_400, '84 s'],
    [125_000, '2 min 5 s'],
    [3_600_000, '1 h 0 min'],
    [12_000_000, '3 h 20 min'],
  ])('%i ms last "%s"', (milliseconds, text) => {
    expect(formatSpan(milliseconds)).toBe(text);
  });

  it('tells the milliseconds of a short step', () => {
    expect([formatStep(2), formatStep(100)]).toEqual(['2 ms', '0.1 s']);
  });

  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1_026_048, '1.0 MB'],
    [412_332_032, '412 MB'],
    [1_920_383_410_176, '1.9 TB'],
  ])('%i bytes are "%s"', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [536_870_912, '512 MiB'],
    [1_610_612_736, '1.5 GiB'],
    [17_179_869_184, '16 GiB'],
  ])('%i bytes of memory are "%s"', (bytes, text) => {
    expect(formatMemory(bytes)).toBe(text);
  });
});
