import { describe, expect, it } from 'vitest';
import { digestBytes } from '../../../src/storage/digest-bytes.ts';

describe('digestBytes', () => {
  it('gives SHA-256 and SHA-512 (FIPS 180-2, appendices B.1 and C.1: "abc")', () => {
    const abc = Buffer.from('abc');
    expect(digestBytes('sha256', abc)).toBe('sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(digestBytes('sha512', abc)).toBe(
      'sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a' +
        '2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    );
  });
});
