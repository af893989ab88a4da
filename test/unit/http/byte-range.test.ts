import { describe, expect, it } from 'vitest';
import { decideRange } from '../../../src/http/byte-range.ts';

describe('decideRange', () => {
  it.each([
    ['bytes=0-0', { kind: 'part', start: 0, end: 0 }],
    ['bytes=2-5', { kind: 'part', start: 2, end: 5 }],
    ['bytes=9-', { kind: 'part', start: 9, end: 9 }],
    ['bytes=-3', { kind: 'part', start: 7, end: 9 }],
    ['bytes=-99', { kind: 'part', start: 0, end: 9 }],
    ['bytes=5-99999999999999999999999', { kind: 'part', start: 5, end: 9 }],
    ['Bytes = 1-2', { kind: 'part', start: 1, end: 2 }],
  ])('serves %s of ten bytes in part (RFC 9110 §14.1.2)', (header, expected) => {
    expect(decideRange(header, 10)).toEqual(expected);
  });

  it.each(['bytes=10-', 'bytes=-0', 'bytes=5-4', 'bytes=', 'bytes=-', 'bytes=a-b', 'bytes=1', 'bytes==0-1'])(
    'refuses %s of ten bytes (RFC 9110 §15.5.17)',
    (header) => {
      expect(decideRange(header, 10)).toEqual({ kind: 'unsatisfiable' });
    },
  );

  it.each([undefined, 'items=0-1', 'bytes=0-1,3-4', '', 'bytes'])('sends the whole for %s', (header) => {
    expect(decideRange(header, 10).kind).toBe(header === 'bytes' ? 'unsatisfiable' : 'whole');
  });

  it('has no part of an empty representation to give', () => {
    expect(decideRange('bytes=0-', 0)).toEqual({ kind: 'unsatisfiable' });
    expect(decideRange('bytes=-1', 0)).toEqual({ kind: 'unsatisfiable' });
  });
});
