import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { JoseTokenSigner } from '../../../src/crypto/jose-token-signer.ts';
import type { EnrollmentClaims } from '../../../src/enrollment/enrollment-token.ts';
import { aMac } from '../../support/domain-builders.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const stranger = generateKeyPairSync('ed25519').privateKey;
const signer = new JoseTokenSigner(privateKey);

const CLAIMS: EnrollmentClaims = {
  jti: 'tok_abcdefghijklmnop',
  iss: 'muster',
  aud: 'muster-enroll',
  nbf: 1_767_268_800,
  exp: 1_767_269_700,
  uses: 1,
};
const HEADER = { alg: 'EdDSA', typ: 'muster-enroll+jwt' };

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JWT (RFC 7515 §3.1) put together by hand, so that the signer meets what no library would make. */
function handMade(header: object, payload: unknown, key: KeyObject | undefined): string {
  const input = `${base64url(header)}.${base64url(payload)}`;
  return `${input}.${key === undefined ? '' : sign(null, Buffer.from(input), key).toString('base64url')}`;
}

describe('JoseTokenSigner', () => {
  it.each<[string, EnrollmentClaims]>([
    ['the least', CLAIMS],
    ['every bond', { ...CLAIMS, mac: aMac(), uuid: 'u', serial: 's', profile: 'p', labels: { rack: 'a1' } }],
  ])('gives back what it signed: %s', async (_, claims) => {
    expect(await signer.verify(await signer.sign(claims))).toEqual({ kind: 'claims', claims });
  });

  it('names algorithm, type and key in the header (RFC 8037 §3.1, RFC 8725 §3.11)', async () => {
    const [header = ''] = (await signer.sign(CLAIMS)).split('.');
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({
      ...HEADER,
      kid: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    });
  });

  it('takes a hand-made token with the right key, so that the refusals below are for their reason alone', async () => {
    expect(await signer.verify(handMade(HEADER, CLAIMS, privateKey))).toMatchObject({ kind: 'claims' });
  });

  it.each([
    ['signed by another key', handMade(HEADER, CLAIMS, stranger)],
    ['alg none (RFC 8725 §2.1)', handMade({ ...HEADER, alg: 'none' }, CLAIMS, undefined)],
    ['alg none with a signature', handMade({ ...HEADER, alg: 'none' }, CLAIMS, stranger)],
    ['alg HS256', handMade({ ...HEADER, alg: 'HS256' }, CLAIMS, stranger)],
    ['no signature', handMade(HEADER, CLAIMS, undefined)],
    [
      'a critical extension that nobody knows (RFC 7515 §4.1.11)',
      handMade({ ...HEADER, crit: ['x'], x: 1 }, CLAIMS, privateKey),
    ],
  ])('calls forged: %s', async (_, token) => {
    expect(await signer.verify(token)).toEqual({ kind: 'refused', reason: 'token-forged' });
  });

  it('calls forged a token whose payload was altered', async () => {
    const [header, , signature] = (await signer.sign(CLAIMS)).split('.');
    const token = [header, base64url({ ...CLAIMS, uses: 1000 }), signature].join('.');
    expect(await signer.verify(token)).toEqual({ kind: 'refused', reason: 'token-forged' });
  });

  it.each([
    ['nothing', ''],
    ['words', 'not a token'],
    ['two parts', 'e30.e30'],
    ['five parts (JWE)', 'e30.e30.e30.e30.e30'],
    ['a header that is no JSON', 'AAAA.e30.AAAA'],
    ['more than 4 KiB', handMade(HEADER, { ...CLAIMS, iss: 'x'.repeat(4096) }, privateKey)],
    ['another type of ours', handMade({ ...HEADER, typ: 'JWT' }, CLAIMS, privateKey)],
    ['claims that are no object', handMade(HEADER, 'hello', privateKey)],
    ['a missing claim', handMade(HEADER, { ...CLAIMS, exp: undefined }, privateKey)],
    ['a claim that nobody knows', handMade(HEADER, { ...CLAIMS, admin: true }, privateKey)],
    ['a MAC that is none', handMade(HEADER, { ...CLAIMS, mac: 'x' }, privateKey)],
  ])('calls malformed: %s', async (_, token) => {
    expect(await signer.verify(token)).toEqual({ kind: 'refused', reason: 'token-malformed' });
  });
});
