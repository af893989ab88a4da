// Tokens, redemptions and certificates in memory: for tests and for trying things out. Nothing here waits between its first
// look and its last change, which is what makes it atomic.
import type { CertificateRecord, EnrollmentStore, RedeemOutcome } from '../../enrollment/enrollment-store.ts';
import type { TokenRecord } from '../../enrollment/enrollment-token.ts';
import { AppError } from '../../errors.ts';
import type { Machine, MachineId } from '../../machines/machine.ts';
import type { MemoryMachineStore } from './memory-machine-store.ts';

export class MemoryEnrollmentStore implements EnrollmentStore {
  readonly #machines: MemoryMachineStore;
  readonly #tokens = new Map<string, TokenRecord>();
  readonly #certificates = new Map<string, CertificateRecord>();
  /** Serial number of the certificate by token and key. */
  readonly #redemptions = new Map<string, string>();

  /** A redemption saves its machine there. */
  constructor(machines: MemoryMachineStore) {
    this.#machines = machines;
  }

  async insertToken(token: TokenRecord): Promise<void> {
    await Promise.resolve();
    if (this.#tokens.has(token.id)) throw new AppError('storage-failure', `Token ${token.id} is on record.`);
    this.#tokens.set(token.id, token);
  }

  findToken(id: string): Promise<TokenRecord | undefined> {
    return Promise.resolve(this.#tokens.get(id));
  }

  listTokens(options: {
    readonly limit: number;
    readonly includeEnded: boolean;
    readonly now: number;
  }): Promise<readonly TokenRecord[]> {
    const isOpen = (token: TokenRecord): boolean =>
      token.revokedAt === undefined && token.expiresAt > options.now && token.uses < token.maxUses;
    return Promise.resolve(
      [...this.#tokens.values()]
        .filter((token) => options.includeEnded || isOpen(token))
        .sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? -1 : 1))
        .slice(0, options.limit),
    );
  }

  revokeToken(id: string, at: number): Promise<boolean> {
    const token = this.#tokens.get(id);
    if (token !== undefined) this.#tokens.set(id, { revokedAt: at, ...token });
    return Promise.resolve(token !== undefined);
  }

  findRedemption(tokenId: string, keyFingerprint: string): Promise<CertificateRecord | undefined> {
    return Promise.resolve(this.#redemption(tokenId, keyFingerprint));
  }

  async redeem(request: {
    readonly tokenId: string;
    readonly certificate: CertificateRecord;
    readonly machine: Machine;
    readonly at: number;
  }): Promise<RedeemOutcome> {
    await Promise.resolve();
    const { tokenId, certificate, machine, at } = request;
    const token = this.#tokens.get(tokenId);
    if (token === undefined) return { kind: 'refused', reason: 'token-unknown' };
    const earlier = this.#redemption(tokenId, certificate.keyFingerprint);
    if (earlier !== undefined) return { kind: 'replayed', certificate: earlier };
    if (token.revokedAt !== undefined) return { kind: 'refused', reason: 'token-revoked' };
    if (token.uses >= token.maxUses) return { kind: 'refused', reason: 'token-used' };
    this.#refuseKnownSerial(certificate);
    if (this.#machines.saveNow(machine).kind === 'stale') return { kind: 'stale' };
    this.#tokens.set(tokenId, { ...token, uses: token.uses + 1 });
    this.#revokeCertificatesOf(machine.id, at);
    this.#certificates.set(certificate.serial, certificate);
    this.#redemptions.set(`${tokenId} ${certificate.keyFingerprint}`, certificate.serial);
    return { kind: 'redeemed' };
  }

  findCertificate(serial: string): Promise<CertificateRecord | undefined> {
    return Promise.resolve(this.#certificates.get(serial));
  }

  async insertCertificate(certificate: CertificateRecord): Promise<void> {
    await Promise.resolve();
    this.#refuseKnownSerial(certificate);
    this.#certificates.set(certificate.serial, certificate);
  }

  revokeCertificatesOf(machineId: MachineId, at: number): Promise<number> {
    return Promise.resolve(this.#revokeCertificatesOf(machineId, at));
  }

  #redemption(tokenId: string, keyFingerprint: string): CertificateRecord | undefined {
    return this.#certificates.get(this.#redemptions.get(`${tokenId} ${keyFingerprint}`) ?? '');
  }

  #refuseKnownSerial({ serial }: CertificateRecord): void {
    if (this.#certificates.has(serial)) throw new AppError('storage-failure', `Certificate ${serial} is on record.`);
  }

  #revokeCertificatesOf(machineId: MachineId, at: number): number {
    const good = [...this.#certificates.values()].filter(
      (certificate) => certificate.machineId === machineId && certificate.revokedAt === undefined,
    );
    for (const certificate of good) this.#certificates.set(certificate.serial, { ...certificate, revokedAt: at });
    return good.length;
  }
}
