import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { BootFileSignatures } from '../../../../src/images/trust/signature-boot-files.ts';
import { aDigest } from '../../../support/domain-builders.ts';

describe('BootFileSignatures', () => {
  it('signs a file once for all who ask, and again after a failure', async () => {
    let isBroken = true;
    const signed: string[] = [];
    const blobs = { read: (digest: string) => Readable.from([Buffer.from(isBroken ? 'broken' : digest)]) };
    const signatures = new BootFileSignatures(blobs, {
      sign: async (content) => {
        const text = (await buffer(content)).toString();
        if (text === 'broken') throw new Error('the disk is broken');
        signed.push(text);
        return Buffer.from(`signature of ${text}`);
      },
    });
    await expect(signatures.of(aDigest('a'))).rejects.toThrow('the disk is broken');
    isBroken = false;
    const made = await Promise.all([1, 2, 3].map(() => signatures.of(aDigest('a'))));
    expect(made.map((bytes) => Buffer.from(bytes).toString())).toEqual(Array(3).fill(`signature of ${aDigest('a')}`));
    await signatures.of(aDigest('b'));
    expect(signed).toEqual([aDigest('a'), aDigest('b')]);
  });
});
