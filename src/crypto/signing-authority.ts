// What the makers of EC and RSA certificates share: an authority, what a leaf shall say, names and serial numbers.
import { createHash, randomBytes, type KeyObject } from 'node:crypto';

/** A CA: its private key and its certificate, PEM as on disk. */
export interface SigningAuthority {
  readonly key: KeyObject;
  readonly certificatePem: string;
}

export interface SubjectName {
  readonly kind: 'dns' | 'ip' | 'uri';
  readonly value: string;
}

/** Milliseconds since 1970, whole seconds. */
export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface LeafRequest {
  readonly commonName: string;
  readonly names: readonly SubjectName[];
  readonly usage: 'server' | 'client';
  readonly validity: Validity;
}

/** CAs live ten years; a machine learns of a new one at its next boot. */
export const CA_DAYS = 3652;
const DAY_MS = 86_400_000;

/**
 * From a day ago, since the clock of a machine that just got power may run in local time or be off by hours, and it must
 * still take our certificates.
 */
export function validityOfDays(now: number, days: number): Validity {
  const start = Math.floor(now / 1000) * 1000 - DAY_MS;
  return { notBefore: start, notAfter: start + days * DAY_MS };
}

/** Random, positive, and always 32 hex digits, so that no reader's handling of leading zeros matters (RFC 5280 §4.1.2.2). */
export function createSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0);
  return bytes.toString('hex');
}

/** SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex. */
export function fingerprintOf(publicKeyDer: Uint8Array): string {
  return createHash('sha256').update(publicKeyDer).digest('hex');
}
