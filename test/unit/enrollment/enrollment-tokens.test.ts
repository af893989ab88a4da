// Making, listing and revoking tokens.
import { describe, expect, it } from 'vitest';
import { checkClaims } from '../../../src/enrollment/enrollment-token.ts';
import { bootSessionMaker, bootSessionOf } from '../../../src/enrollment/token-maker.ts';
import { aMac, aSessionId, NOON } from '../../support/domain-builders.ts';
import { EnrollmentWorld, SETTINGS } from '../../support/enrollment-world.ts';

describe('EnrollmentService.createToken', () => {
  it('records what was asked for and signs the id and the bonds, not profile, labels or note', async () => {
    const world = new EnrollmentWorld();
    const bonds = { mac: aMac(), uuid: 'u', serial: 's' };
    const { record, token } = await world.token({
      ...bonds,
      uses: 3,
      profile: 'p',
      labels: { a: 'b' },
      note: 'rack 3',
    });
    expect(record).toEqual({
      id: expect.stringMatching(/^tok_[a-z2-7]{16}$/) as string,
      createdAt: NOON,
      createdBy: 'admin',
      notBefore: NOON,
      expiresAt: NOON + 900_000,
      maxUses: 3,
      uses: 0,
      ...bonds,
      profile: 'p',
      labels: { a: 'b' },
      note: 'rack 3',
    });
    expect(await world.service.findToken(record.id)).toEqual(record);
    expect(await world.signer.verify(token)).toEqual({
      kind: 'claims',
      claims: {
        jti: record.id,
        iss: SETTINGS.issuer,
        aud: SETTINGS.audience,
        nbf: NOON / 1000,
        exp: NOON / 1000 + 900,
        uses: 3,
        ...bonds,
      },
    });
  });

  it('gives whole seconds, so that the record says what the token says', async () => {
    const world = new EnrollmentWorld();
    world.now = NOON + 999;
    const { record } = await world.token({ ttlSeconds: 10 });
    expect([record.notBefore, record.expiresAt]).toEqual([NOON, NOON + 10_000]);
  });

  it.each([
    { ttlSeconds: 0 },
    { ttlSeconds: 1.5 },
    { ttlSeconds: SETTINGS.maxTtlSeconds + 1 },
    { uses: 0 },
    { uses: SETTINGS.maxUses + 1 },
    { labels: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`l${n}`, 'x'])) },
  ])('refuses %j', async (request) => {
    const world = new EnrollmentWorld();
    await expect(world.token(request)).rejects.toMatchObject({ code: 'invalid-request' });
    expect(await world.service.listTokens({ limit: 10, includeEnded: true })).toEqual([]);
  });
});

describe('EnrollmentService.revokeToken', () => {
  it('ends a token at once, is an event once, and says whether there is such a token', async () => {
    const world = new EnrollmentWorld();
    const { record, token } = await world.token();
    expect(await world.service.revokeToken(record.id, 'admin')).toBe(true);
    expect(await world.service.revokeToken(record.id, 'admin (web)')).toBe(true);
    expect(await world.service.revokeToken('tok_nobody', 'admin')).toBe(false);
    expect(await world.events()).toMatchObject([
      { kind: 'token-revoked', details: { tokenId: record.id, by: 'admin' } },
    ]);
    expect(await world.enroll(token)).toMatchObject({ code: 'token-revoked' });
    expect(await world.service.listTokens({ limit: 10, includeEnded: false })).toEqual([]);
  });
});

describe('bootSessionOf', () => {
  it('gives back the session of a boot’s token, and nothing for one that a person made', () => {
    expect(bootSessionOf({ createdBy: bootSessionMaker(aSessionId('b-1')) })).toBe('b-1');
    expect(bootSessionOf({ createdBy: 'admin' })).toBeUndefined();
  });
});

describe('a UUID bond', () => {
  const claims = { jti: 't', iss: 'i', aud: 'a', nbf: 0, exp: 2_000_000_000, uses: 1 };
  const check = (claimed: string, own: string) =>
    checkClaims({ ...claims, uuid: claimed }, { macs: [], uuid: own }, { audience: 'a', nowSeconds: 1000 }).kind;

  it('holds in both byte orders of the first three fields (SMBIOS 3.6 §7.2.1), and in no other', () => {
    const uuid = '01020304-0506-0708-090a-0b0c0d0e0f10';
    expect(check(uuid, uuid)).toBe('allowed');
    expect(check(uuid, '04030201-0605-0807-090a-0b0c0d0e0f10')).toBe('allowed');
    expect(check(uuid, '04030201-0605-0807-0a09-0b0c0d0e0f10')).toBe('refused');
  });
});
