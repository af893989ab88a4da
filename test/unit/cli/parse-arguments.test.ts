import { describe, expect, it } from 'vitest';
import {
  collectLabel,
  parseAssignment,
  parseCount,
  parseDurationSeconds,
  parseMac,
  parseSeq,
} from '../../../src/cli/parse-arguments.ts';

describe('parseDurationSeconds', () => {
  it.each([
    ['90s', 90],
    ['15m', 900],
    ['2h', 7200],
    ['7d', 604_800],
    ['60', 60],
  ])('%s is %i seconds', (text, seconds) => {
    expect(parseDurationSeconds(text)).toBe(seconds);
  });

  it.each(['', '15 m', '-5m', '1.5h', '15min'])('refuses %j with the form that it takes', (text) => {
    expect(() => parseDurationSeconds(text)).toThrow(/90s, 15m, 2h or 7d/);
  });
});

describe('the other arguments', () => {
  it('take counts from 1 and event numbers from 0', () => {
    expect(parseCount('3')).toBe(3);
    expect(parseSeq('0')).toBe(0);
    for (const text of ['0', '-1', 'x', '1e3']) expect(() => parseCount(text)).toThrow(/whole number/);
    expect(() => parseSeq('-1')).toThrow(/number of an event/);
  });

  it('take a MAC address in any spelling and send the canonical one', () => {
    expect(parseMac('52-54-00-0A-0B-0C')).toBe('52:54:00:0a:0b:0c');
    expect(() => parseMac('52:54')).toThrow(/MAC address like/);
  });

  it('collect labels; a value may hold an equals sign', () => {
    expect(collectLabel('b=x=y', collectLabel('a=1'))).toEqual({ a: '1', b: 'x=y' });
    expect(() => collectLabel('rack')).toThrow(/label like/);
  });

  it('split kernel=PATH at the first equals sign', () => {
    expect(parseAssignment('kernel=/a=b')).toEqual(['kernel', '/a=b']);
    expect(parseAssignment('kernel')).toEqual(['kernel', '']);
  });
});
