// The enrollment token: what it claims, and the pure rules of whether it opens the door to a given machine. Signing and
// checking signatures is crypto/; counting uses is the store's.
import type { MacAddress } from '../protocol/mac-address.ts';

/** Claims of the JWT (RFC 7519), times in seconds since 1970. A bound token opens only for a machine that matches each bond. */
export interface EnrollmentClaims {
  readonly jti: string;
  readonly iss: string;
  readonly aud: string;
  readonly nbf: number;
  readonly exp: number;
  /** How many different keys may redeem it. */
  readonly uses: number;
  readonly mac?: MacAddress;
  readonly uuid?: string;
  readonly serial?: string;
  readonly profile?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** What a machine says of itself when it redeems a token. */
export interface EnrollmentCandidate {
  readonly macs: readonly MacAddress[];
  readonly uuid?: string;
  readonly serial?: string;
}

export type TokenRefusal = 'token-expired' | 'token-wrong-audience' | 'token-wrong-machine';

/** Clocks of machines and servers may differ by so much. */
const CLOCK_SKEW_SECONDS = 60;

/** Whether the claims allow this candidate at this time (seconds since 1970); the first rule that fails gives the reason. */
export function checkClaims(
  claims: EnrollmentClaims,
  candidate: EnrollmentCandidate,
  expected: { readonly audience: string; readonly nowSeconds: number },
): { readonly kind: 'allowed' } | { readonly kind: 'refused'; readonly reason: TokenRefusal } {
  if (claims.aud !== expected.audience) return { kind: 'refused', reason: 'token-wrong-audience' };
  if (expected.nowSeconds + CLOCK_SKEW_SECONDS < claims.nbf || expected.nowSeconds >= claims.exp + CLOCK_SKEW_SECONDS)
    return { kind: 'refused', reason: 'token-expired' };
  const matches =
    (claims.mac === undefined || candidate.macs.includes(claims.mac)) &&
    (claims.uuid === undefined || isSameUuid(claims.uuid, candidate.uuid)) &&
    (claims.serial === undefined || claims.serial === candidate.serial);
  return matches ? { kind: 'allowed' } : { kind: 'refused', reason: 'token-wrong-machine' };
}

/** Firmware of SMBIOS before 2.6 and Linux disagree on the byte order of the first three fields (SMBIOS 3.6 §7.2.1). */
function isSameUuid(claimed: string, own: string | undefined): boolean {
  return own !== undefined && (own === claimed || own === swapUuidFields(claimed));
}

function swapUuidFields(uuid: string): string {
  const [first, second, third, ...rest] = uuid.split('-');
  const swap = (field = ''): string => (field.match(/../g) ?? []).reverse().join('');
  return [swap(first), swap(second), swap(third), ...rest].join('-');
}

/** A token on record; the signed text itself is never stored. Times in milliseconds since 1970. */
export interface TokenRecord {
  readonly id: string;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly notBefore: number;
  readonly expiresAt: number;
  readonly maxUses: number;
  readonly uses: number;
  readonly revokedAt?: number;
  readonly note?: string;
  readonly mac?: MacAddress;
  readonly uuid?: string;
  readonly serial?: string;
  readonly profile?: string;
  readonly labels: Readonly<Record<string, string>>;
}
