import { describe, expect, it } from 'vitest';
import { macAddressFromBytes, parseMacAddress } from '../../../src/protocol/mac-address.ts';

describe('parseMacAddress', () => {
  it.each(['52:54:00:AB:cd:0e', '52-54-00-ab-CD-0e', '5254.00ab.cd0e', '525400ABCD0E'])('reads %s', (text) => {
    expect(parseMacAddress(text)).toBe('52:54:00:ab:cd:0e');
  });

  it.each([
    '',
    '52:54:00:ab:cd',
    '52:54:00:ab:cd:0e:0f',
    '52:54-00:ab:cd:0e',
    '5:54:00:ab:cd:0e',
    '52540zabcd0e',
    ' 525400abcd0e',
  ])('refuses "%s"', (text) => {
    expect(parseMacAddress(text)).toBeUndefined();
  });
});

describe('macAddressFromBytes', () => {
  it('writes lower case with colons', () => {
    expect(macAddressFromBytes(Uint8Array.of(0x52, 0x54, 0, 0xab, 0xcd, 0x0e))).toBe('52:54:00:ab:cd:0e');
  });

  it.each([0, 5, 7, 16])('makes none of %i bytes', (length) => {
    expect(macAddressFromBytes(new Uint8Array(length))).toBeUndefined();
  });
});
