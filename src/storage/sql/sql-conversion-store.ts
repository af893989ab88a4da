// Conversions in SQL, one row for each manifest of a repository.
import type { Conversion, ConversionState, RefusalCode } from '../../images/conversion/conversion.ts';
import type { ConversionStore } from '../../images/conversion/conversion-store.ts';
import type { Digest } from '../../images/digest.ts';
import { AppError } from '../../errors.ts';
import { decodeJson, encodeJson } from './row-values.ts';
import type { ConversionRow, Database } from './schema.ts';

export class SqlConversionStore implements ConversionStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async find(repository: string, digest: Digest): Promise<Conversion | undefined> {
    const row = await this.#database
      .selectFrom('conversions')
      .selectAll()
      .where('repository', '=', repository)
      .where('digest', '=', digest)
      .executeTakeFirst();
    return row && conversionOf(row);
  }

  async put(conversion: Conversion): Promise<void> {
    const row = rowOf(conversion);
    await this.#database
      .insertInto('conversions')
      .values(row)
      .onConflict((conflict) => conflict.columns(['repository', 'digest']).doUpdateSet(row))
      .execute();
  }

  async next(): Promise<Conversion | undefined> {
    const row = await this.#database
      .selectFrom('conversions')
      .selectAll()
      .where('state', 'in', ['queued', 'converting'])
      .orderBy('queuedAt')
      .orderBy('repository')
      .orderBy('digest')
      .executeTakeFirst();
    return row && conversionOf(row);
  }

  async findReady(digest: Digest): Promise<Conversion | undefined> {
    const row = await this.#database
      .selectFrom('conversions')
      .selectAll()
      .where('digest', '=', digest)
      .where('state', '=', 'ready')
      .orderBy('repository')
      .executeTakeFirst();
    return row && conversionOf(row);
  }

  async list(repository?: string): Promise<readonly Conversion[]> {
    let query = this.#database.selectFrom('conversions').selectAll();
    if (repository !== undefined) query = query.where('repository', '=', repository);
    const rows = await query.orderBy('repository').orderBy('queuedAt', 'desc').orderBy('digest').execute();
    return rows.map(conversionOf);
  }
}

function conversionOf(row: ConversionRow): Conversion {
  const { repository, digest, queuedAt, changedAt, attempts } = row;
  return { ...stateOf(row), repository, digest, queuedAt, changedAt, attempts };
}

function stateOf(row: ConversionRow): ConversionState {
  switch (row.state) {
    case 'queued':
    case 'converting':
      return { state: row.state };
    case 'ready':
      if (row.image === null || row.manifest === null) throw halfWritten(row);
      return { state: 'ready', image: decodeJson(row.image), manifest: row.manifest };
    case 'refused':
      if (row.code === null) throw halfWritten(row);
      return { state: 'refused', refusal: { code: row.code, detail: row.detail ?? '' } };
  }
}

function rowOf(conversion: Conversion): ConversionRow {
  const { repository, digest, state, queuedAt, changedAt, attempts } = conversion;
  const none = { code: null, detail: null, image: null, manifest: null };
  const outcome = {
    ...(conversion.state === 'ready' && { image: encodeJson(conversion.image), manifest: conversion.manifest }),
    ...(conversion.state === 'refused' && refusalColumns(conversion.refusal)),
  };
  return { repository, digest, state, queuedAt, changedAt, attempts, ...none, ...outcome };
}

function refusalColumns(refusal: { code: RefusalCode; detail: string }): Pick<ConversionRow, 'code' | 'detail'> {
  return { code: refusal.code, detail: refusal.detail };
}

function halfWritten({ repository, digest }: ConversionRow): AppError {
  return new AppError('storage-failure', `The conversion of ${repository}@${digest} is not on record whole.`);
}
