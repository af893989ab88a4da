// PORT. Tokens, redemptions and certificates: what must change together or not at all. Adapters: storage/sql,
// storage/memory; both pass test/contract/enrollment-store.
import type { Machine, MachineId } from '../machines/machine.ts';
import type { TokenRecord } from './enrollment-token.ts';

/** An X.509 certificate that was issued to a machine. `serial` is lower-case hex; times in milliseconds since 1970. */
export interface CertificateRecord {
  readonly serial: string;
  readonly machineId: MachineId;
  /** SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex. */
  readonly keyFingerprint: string;
  readonly pem: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly revokedAt?: number;
}

export type RedeemOutcome =
  /** The use was counted, the certificate is on record, the machine was saved; its earlier certificates are revoked. */
  | { readonly kind: 'redeemed' }
  /**
   * This key redeemed this token before: the certificate of then is the answer, nothing was changed. Also where the token has
   * ended since; whether the certificate was revoked stands in it.
   */
  | { readonly kind: 'replayed'; readonly certificate: CertificateRecord }
  | { readonly kind: 'refused'; readonly reason: 'token-unknown' | 'token-used' | 'token-revoked' }
  /** The machine changed meanwhile; nothing was changed here. Load it and try again. */
  | { readonly kind: 'stale' };

export interface EnrollmentStore {
  insertToken(token: TokenRecord): Promise<void>;
  findToken(id: string): Promise<TokenRecord | undefined>;
  /** Newest first. Ended: revoked, expired or without uses left. */
  listTokens(options: {
    readonly limit: number;
    readonly includeEnded: boolean;
    readonly now: number;
  }): Promise<readonly TokenRecord[]>;
  /** False when there is no such token; revoking twice keeps the first time. */
  revokeToken(id: string, at: number): Promise<boolean>;
  findRedemption(tokenId: string, keyFingerprint: string): Promise<CertificateRecord | undefined>;
  /**
   * One transaction: the token has uses left and is not revoked, one use is burned, the redemption by this key and its
   * certificate are recorded, all other certificates of the machine are revoked, the machine is saved (its version must match).
   */
  redeem(request: {
    readonly tokenId: string;
    readonly certificate: CertificateRecord;
    readonly machine: Machine;
    readonly at: number;
  }): Promise<RedeemOutcome>;
  findCertificate(serial: string): Promise<CertificateRecord | undefined>;
  /** Adds a renewed certificate. The old one stays good until its end, so that a lost answer locks nobody out. */
  insertCertificate(certificate: CertificateRecord): Promise<void>;
  revokeCertificatesOf(machineId: MachineId, at: number): Promise<number>;
}
