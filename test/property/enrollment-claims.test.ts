import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkClaims, type EnrollmentCandidate, type EnrollmentClaims } from '../../src/enrollment/enrollment-token.ts';
import { aMac } from '../support/domain-builders.ts';

const SKEW = 60;
const AUDIENCE = 'muster-enroll';

const time = fc.integer({ min: 1_700_000_000, max: 1_900_000_000 });
const mac = fc.integer({ min: 0, max: 4 }).map(aMac);
const word = fc.constantFrom('a', 'b', 'c');
const optional = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });

const claims: fc.Arbitrary<EnrollmentClaims> = fc
  .record({
    nbf: time,
    ttl: fc.integer({ min: 1, max: 100_000 }),
    mac: optional(mac),
    uuid: optional(word),
    serial: optional(word),
  })
  .map(({ nbf, ttl, ...bonds }) => ({
    jti: 'tok_x',
    iss: 'muster',
    aud: AUDIENCE,
    nbf,
    exp: nbf + ttl,
    uses: 1,
    ...defined(bonds),
  }));
const candidate: fc.Arbitrary<EnrollmentCandidate> = fc
  .record({ macs: fc.array(mac, { maxLength: 4 }), uuid: optional(word), serial: optional(word) })
  .map(({ macs, ...rest }) => ({ macs, ...defined(rest) }));

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };
function defined<T extends object>(object: T): Present<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Present<T>;
}

/** A bearer that matches every bond. */
function bearerOf(token: EnrollmentClaims): EnrollmentCandidate {
  return {
    macs: token.mac === undefined ? [] : [token.mac],
    ...(token.uuid === undefined ? {} : { uuid: token.uuid }),
    ...(token.serial === undefined ? {} : { serial: token.serial }),
  };
}

describe('checkClaims', () => {
  it('allows the right bearer at any moment from 60 s before the beginning to 60 s after the end, and at no other', () => {
    fc.assert(
      fc.property(claims, fc.integer({ min: -200_000, max: 200_000 }), (token, offset) => {
        const nowSeconds = token.nbf + offset;
        const inTime = nowSeconds >= token.nbf - SKEW && nowSeconds < token.exp + SKEW;
        const outcome = checkClaims(token, bearerOf(token), { audience: AUDIENCE, nowSeconds });
        expect(outcome).toEqual(inTime ? { kind: 'allowed' } : { kind: 'refused', reason: 'token-expired' });
      }),
    );
  });

  it('is exact to the second at all four edges', () => {
    fc.assert(
      fc.property(claims, (token) => {
        const at = (nowSeconds: number): string =>
          checkClaims(token, bearerOf(token), { audience: AUDIENCE, nowSeconds }).kind;
        expect([at(token.nbf - 61), at(token.nbf - 60), at(token.exp + 59), at(token.exp + 60)]).toEqual([
          'refused',
          'allowed',
          'allowed',
          'refused',
        ]);
      }),
    );
  });

  it('allows a bearer exactly when each bond of the token is met, whatever else the bearer says', () => {
    fc.assert(
      fc.property(claims, candidate, (token, bearer) => {
        const met =
          (token.mac === undefined || bearer.macs.includes(token.mac)) &&
          (token.uuid === undefined || token.uuid === bearer.uuid) &&
          (token.serial === undefined || token.serial === bearer.serial);
        const outcome = checkClaims(token, bearer, { audience: AUDIENCE, nowSeconds: token.nbf });
        expect(outcome).toEqual(met ? { kind: 'allowed' } : { kind: 'refused', reason: 'token-wrong-machine' });
      }),
    );
  });

  it('refuses any other audience before it looks at anything else', () => {
    fc.assert(
      fc.property(claims, candidate, time, fc.string(), (token, bearer, nowSeconds, audience) => {
        fc.pre(audience !== AUDIENCE);
        expect(checkClaims(token, bearer, { audience, nowSeconds })).toEqual({
          kind: 'refused',
          reason: 'token-wrong-audience',
        });
      }),
    );
  });
});
