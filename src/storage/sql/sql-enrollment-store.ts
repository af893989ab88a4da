// Tokens, redemptions and certificates in SQL. Every change that must not be done by half is one transaction.
import type { CertificateRecord, EnrollmentStore, RedeemOutcome } from '../../enrollment/enrollment-store.ts';
import type { TokenRecord } from '../../enrollment/enrollment-token.ts';
import type { Machine, MachineId } from '../../machines/machine.ts';
import { decodeJson, encodeJson, withoutNulls } from './row-values.ts';
import type { CertificateRow, Database, TokenRow } from './schema.ts';
import { saveMachine } from './sql-machine-store.ts';

export class SqlEnrollmentStore implements EnrollmentStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async insertToken(token: TokenRecord): Promise<void> {
    await this.#database.insertInto('enrollmentTokens').values(tokenRowOf(token)).execute();
  }

  async findToken(id: string): Promise<TokenRecord | undefined> {
    const row = await this.#database.selectFrom('enrollmentTokens').selectAll().where('id', '=', id).executeTakeFirst();
    return row && tokenOf(row);
  }

  async listTokens(options: {
    readonly limit: number;
    readonly includeEnded: boolean;
    readonly now: number;
  }): Promise<readonly TokenRecord[]> {
    let query = this.#database.selectFrom('enrollmentTokens').selectAll();
    if (!options.includeEnded)
      query = query
        .where('revokedAt', 'is', null)
        .where('expiresAt', '>', options.now)
        .whereRef('uses', '<', 'maxUses');
    const rows = await query.orderBy('createdAt', 'desc').orderBy('id').limit(options.limit).execute();
    return rows.map(tokenOf);
  }

  async revokeToken(id: string, at: number): Promise<boolean> {
    const { numUpdatedRows } = await this.#database
      .updateTable('enrollmentTokens')
      .set((expression) => ({ revokedAt: expression.fn.coalesce('revokedAt', expression.val(at)) }))
      .where('id', '=', id)
      .executeTakeFirst();
    return numUpdatedRows === 1n;
  }

  findRedemption(tokenId: string, keyFingerprint: string): Promise<CertificateRecord | undefined> {
    return findRedemption(this.#database, tokenId, keyFingerprint);
  }

  redeem(request: {
    readonly tokenId: string;
    readonly certificate: CertificateRecord;
    readonly machine: Machine;
    readonly at: number;
  }): Promise<RedeemOutcome> {
    const { tokenId, certificate, machine, at } = request;
    return this.#database.transaction().execute(async (transaction): Promise<RedeemOutcome> => {
      const token = await lockToken(transaction, tokenId);
      if (token === undefined) return { kind: 'refused', reason: 'token-unknown' };
      const earlier = await findRedemption(transaction, tokenId, certificate.keyFingerprint);
      if (earlier !== undefined) return { kind: 'replayed', certificate: earlier };
      if (token.revokedAt !== null) return { kind: 'refused', reason: 'token-revoked' };
      if (token.uses >= token.maxUses) return { kind: 'refused', reason: 'token-used' };
      if ((await saveMachine(transaction, machine)).kind === 'stale') return { kind: 'stale' };
      await burnUse(transaction, tokenId);
      await revokeCertificatesOf(transaction, machine.id, at);
      await transaction.insertInto('certificates').values(certificateRowOf(certificate)).execute();
      await transaction
        .insertInto('redemptions')
        .values({
          tokenId,
          keyFingerprint: certificate.keyFingerprint,
          certificateSerial: certificate.serial,
          redeemedAt: at,
        })
        .execute();
      return { kind: 'redeemed' };
    });
  }

  async findCertificate(serial: string): Promise<CertificateRecord | undefined> {
    const row = await this.#database
      .selectFrom('certificates')
      .selectAll()
      .where('serial', '=', serial)
      .executeTakeFirst();
    return row && withoutNulls(row);
  }

  async insertCertificate(certificate: CertificateRecord): Promise<void> {
    await this.#database.insertInto('certificates').values(certificateRowOf(certificate)).execute();
  }

  revokeCertificatesOf(machineId: MachineId, at: number): Promise<number> {
    return revokeCertificatesOf(this.#database, machineId, at);
  }
}

/**
 * Reads the token by an update that changes nothing: on PostgreSQL it locks the row, so that two redemptions of one token
 * follow each other; on SQLite the transaction has the only write lock anyway.
 */
function lockToken(
  transaction: Database,
  id: string,
): Promise<Pick<TokenRow, 'uses' | 'maxUses' | 'revokedAt'> | undefined> {
  return transaction
    .updateTable('enrollmentTokens')
    .set((expression) => ({ uses: expression.ref('uses') }))
    .where('id', '=', id)
    .returning(['uses', 'maxUses', 'revokedAt'])
    .executeTakeFirst();
}

async function burnUse(transaction: Database, tokenId: string): Promise<void> {
  await transaction
    .updateTable('enrollmentTokens')
    .set((expression) => ({ uses: expression('uses', '+', 1) }))
    .where('id', '=', tokenId)
    .execute();
}

async function findRedemption(
  database: Database,
  tokenId: string,
  keyFingerprint: string,
): Promise<CertificateRecord | undefined> {
  const row = await database
    .selectFrom('certificates')
    .innerJoin('redemptions', 'redemptions.certificateSerial', 'certificates.serial')
    .selectAll('certificates')
    .where('redemptions.tokenId', '=', tokenId)
    .where('redemptions.keyFingerprint', '=', keyFingerprint)
    .executeTakeFirst();
  return row && withoutNulls(row);
}

async function revokeCertificatesOf(database: Database, machineId: MachineId, at: number): Promise<number> {
  const { numUpdatedRows } = await database
    .updateTable('certificates')
    .set({ revokedAt: at })
    .where('machineId', '=', machineId)
    .where('revokedAt', 'is', null)
    .executeTakeFirst();
  return Number(numUpdatedRows);
}

function tokenOf(row: TokenRow): TokenRecord {
  return { ...withoutNulls(row), labels: decodeJson(row.labels) };
}

function tokenRowOf(token: TokenRecord): TokenRow {
  return {
    id: token.id,
    createdAt: token.createdAt,
    createdBy: token.createdBy,
    notBefore: token.notBefore,
    expiresAt: token.expiresAt,
    maxUses: token.maxUses,
    uses: token.uses,
    revokedAt: token.revokedAt ?? null,
    note: token.note ?? null,
    mac: token.mac ?? null,
    uuid: token.uuid ?? null,
    serial: token.serial ?? null,
    profile: token.profile ?? null,
    labels: encodeJson(token.labels),
  };
}

function certificateRowOf(certificate: CertificateRecord): CertificateRow {
  return {
    serial: certificate.serial,
    machineId: certificate.machineId,
    keyFingerprint: certificate.keyFingerprint,
    pem: certificate.pem,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    revokedAt: certificate.revokedAt ?? null,
  };
}
