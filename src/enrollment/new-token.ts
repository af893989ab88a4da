// Makes the record and the claims of a new enrollment token, within the limits. Pure.
import type { RandomSource } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { MacAddress } from '../protocol/mac-address.ts';
import type { EnrollmentClaims, TokenRecord } from './enrollment-token.ts';

export interface TokenRequest {
  /** Who asks for it: an administrator's name, or bootSessionMaker(id). */
  readonly by: string;
  readonly ttlSeconds?: number;
  readonly uses?: number;
  readonly mac?: MacAddress;
  readonly uuid?: string;
  readonly serial?: string;
  readonly profile?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly note?: string;
}

export interface TokenLimits {
  readonly defaultTtlSeconds: number;
  readonly maxTtlSeconds: number;
  readonly maxUses: number;
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const ID_CHARACTERS = 16;
const LABELS_MAX = 32;

/** The record of a new token; `now` in milliseconds since 1970. Throws invalid-request beyond the limits. */
export function createTokenRecord(
  request: TokenRequest,
  context: { readonly now: number; readonly random: RandomSource; readonly limits: TokenLimits },
): TokenRecord {
  const { by, ttlSeconds = context.limits.defaultTtlSeconds, uses = 1, labels = {}, ...bonds } = request;
  requireWithin('ttlSeconds', ttlSeconds, context.limits.maxTtlSeconds);
  requireWithin('uses', uses, context.limits.maxUses);
  if (Object.keys(labels).length > LABELS_MAX)
    throw new AppError('invalid-request', `a token carries at most ${LABELS_MAX} labels`);
  // Whole seconds, so that the record says what the token says.
  const notBefore = Math.floor(context.now / 1000) * 1000;
  return {
    ...bonds,
    id: createTokenId(context.random),
    createdAt: context.now,
    createdBy: by,
    notBefore,
    expiresAt: notBefore + ttlSeconds * 1000,
    maxUses: uses,
    uses: 0,
    labels,
  };
}

/** What is signed: the id and what the bearer must match. Profile, labels and note stay on record alone. */
export function claimsOf(
  record: TokenRecord,
  names: { readonly issuer: string; readonly audience: string },
): EnrollmentClaims {
  return {
    jti: record.id,
    iss: names.issuer,
    aud: names.audience,
    nbf: record.notBefore / 1000,
    exp: record.expiresAt / 1000,
    uses: record.maxUses,
    ...(record.mac === undefined ? {} : { mac: record.mac }),
    ...(record.uuid === undefined ? {} : { uuid: record.uuid }),
    ...(record.serial === undefined ? {} : { serial: record.serial }),
  };
}

/** `tok_` and 80 random bits in the letters of RFC 4648 §6. */
function createTokenId(random: RandomSource): string {
  // 256 is a multiple of 32: each letter is as likely as the others.
  const letters = Array.from(random.bytes(ID_CHARACTERS), (byte) => BASE32.charAt(byte % BASE32.length));
  return `tok_${letters.join('')}`;
}

function requireWithin(name: string, value: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < 1 || value > max)
    throw new AppError('invalid-request', `${name} must be a whole number from 1 to ${max}, not ${value}`);
}
