// Manifests, tags and links in SQL. Who refers to what stands in a table of its own, so that marking reads keys and no records.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Digest } from '../../images/digest.ts';
import type { ManifestRecord, RegistryStore } from '../../images/registry/registry-store.ts';
import { decodeJson, encodeJson, withoutNulls } from './row-values.ts';
import type { Database, RegistryManifestRow } from './schema.ts';

/** SQLite takes 32,766 parameters in a statement, others fewer. */
const BATCH = 500;

export class SqlRegistryStore implements RegistryStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async putManifest(record: ManifestRecord, tags: readonly string[]): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      const { createdAt, ...latest } = rowOf(record);
      const { numInsertedOrUpdatedRows } = await transaction
        .insertInto('registryManifests')
        .values({ ...latest, createdAt })
        .onConflict((conflict) => conflict.columns(['repository', 'digest']).doNothing())
        .executeTakeFirst();
      if (numInsertedOrUpdatedRows === 1n) await insertReferences(transaction, record);
      else await touch(transaction, record.repository, record.digest, createdAt);
      for (const tag of tags) await moveTag(transaction, record, tag);
    });
  }

  async findManifest(repository: string, digest: Digest): Promise<ManifestRecord | undefined> {
    const row = await this.#database
      .selectFrom('registryManifests')
      .selectAll()
      .where('repository', '=', repository)
      .where('digest', '=', digest)
      .executeTakeFirst();
    return row && recordOf(row, await this.#referencesOf(repository, digest));
  }

  resolveTag(repository: string, tag: string): Promise<Digest | undefined> {
    return findTag(this.#database, repository, tag);
  }

  async listTags(
    repository: string,
    { after = '', limit }: { readonly after?: string; readonly limit: number },
  ): Promise<readonly string[]> {
    const rows = await this.#database
      .selectFrom('registryTags')
      .select('tag')
      .where('repository', '=', repository)
      .where('tag', '>', after)
      .orderBy('tag')
      .limit(limit)
      .execute();
    return rows.map(({ tag }) => tag);
  }

  async hasRepository(repository: string): Promise<boolean> {
    for (const table of ['registryManifests', 'registryBlobs'] as const) {
      const row = await this.#database
        .selectFrom(table)
        .select('digest')
        .where('repository', '=', repository)
        .limit(1)
        .executeTakeFirst();
      if (row !== undefined) return true;
    }
    return false;
  }

  async listRepositories({
    after = '',
    limit,
  }: {
    readonly after?: string;
    readonly limit: number;
  }): Promise<readonly string[]> {
    const rows = await this.#database
      .selectFrom('registryManifests')
      .select('repository')
      .where('repository', '>', after)
      .union((other) => other.selectFrom('registryBlobs').select('repository').where('repository', '>', after))
      .orderBy('repository')
      .limit(limit)
      .execute();
    return rows.map(({ repository }) => repository);
  }

  async listReferrers(repository: string, subject: Digest, artifactType?: string): Promise<readonly ManifestRecord[]> {
    let query = this.#database
      .selectFrom('registryManifests')
      .selectAll()
      .where('subject', '=', subject)
      .where('repository', '=', repository);
    if (artifactType !== undefined) query = query.where('artifactType', '=', artifactType);
    const rows = await query.orderBy('digest').execute();
    const records: ManifestRecord[] = [];
    for (const row of rows) records.push(recordOf(row, await this.#referencesOf(repository, row.digest)));
    return records;
  }

  async deleteTag(repository: string, tag: string): Promise<boolean> {
    const { numDeletedRows } = await this.#database
      .deleteFrom('registryTags')
      .where('repository', '=', repository)
      .where('tag', '=', tag)
      .executeTakeFirst();
    return numDeletedRows === 1n;
  }

  /** Tags and references go with it (on delete cascade). */
  async deleteManifest(repository: string, digest: Digest): Promise<boolean> {
    const { numDeletedRows } = await this.#database
      .deleteFrom('registryManifests')
      .where('repository', '=', repository)
      .where('digest', '=', digest)
      .executeTakeFirst();
    return numDeletedRows === 1n;
  }

  async linkBlob(repository: string, digest: Digest, at: number): Promise<void> {
    await this.#database
      .insertInto('registryBlobs')
      .values({ repository, digest, linkedAt: at })
      .onConflict((conflict) => conflict.columns(['repository', 'digest']).doUpdateSet({ linkedAt: at }))
      .execute();
  }

  async hasBlob(repository: string, digest: Digest): Promise<boolean> {
    const row = await this.#database
      .selectFrom('registryBlobs')
      .select('digest')
      .where('repository', '=', repository)
      .where('digest', '=', digest)
      .executeTakeFirst();
    return row !== undefined;
  }

  async unlinkBlob(repository: string, digest: Digest): Promise<boolean> {
    const { numDeletedRows } = await this.#database
      .deleteFrom('registryBlobs')
      .where('repository', '=', repository)
      .where('digest', '=', digest)
      .executeTakeFirst();
    return numDeletedRows === 1n;
  }

  async isReferenced(repository: string, digest: Digest): Promise<boolean> {
    const row = await this.#database
      .selectFrom('registryReferences')
      .select('digest')
      .where('child', '=', digest)
      .where('repository', '=', repository)
      .limit(1)
      .executeTakeFirst();
    return row !== undefined;
  }

  async repositoriesOf(digest: Digest): Promise<readonly string[]> {
    const rows = await this.#database
      .selectFrom('registryBlobs')
      .select('repository')
      .where('digest', '=', digest)
      .orderBy('repository')
      .execute();
    return rows.map(({ repository }) => repository);
  }

  /** Generation by generation: sockets and timers have their turn between the statements of a long walk. */
  async keptDigests(since: number, pinned: ReadonlySet<Digest>): Promise<ReadonlySet<Digest>> {
    const kept = new Set(pinned);
    for (const root of await this.#roots(since)) kept.add(root);
    for (let frontier = [...kept]; frontier.length > 0;) {
      const found = new Set<Digest>();
      for (const batch of batches(frontier)) {
        for (const digest of await this.#neededBy(batch)) if (!kept.has(digest)) found.add(digest);
        await nextTurn();
      }
      for (const digest of found) kept.add(digest);
      frontier = [...found];
    }
    return kept;
  }

  async forget(digests: readonly Digest[]): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      for (const batch of batches(digests)) {
        await transaction.deleteFrom('registryManifests').where('digest', 'in', batch).execute();
        await transaction.deleteFrom('registryBlobs').where('digest', 'in', batch).execute();
      }
    });
  }

  async allDigests(): Promise<ReadonlySet<Digest>> {
    const rows = await this.#database
      .selectFrom('registryManifests')
      .select('digest')
      .union((other) => other.selectFrom('registryBlobs').select('digest'))
      .execute();
    return new Set(rows.map(({ digest }) => digest));
  }

  async isOnRecord(digest: Digest): Promise<boolean> {
    for (const table of ['registryManifests', 'registryBlobs'] as const) {
      const row = await this.#database
        .selectFrom(table)
        .select('digest')
        .where('digest', '=', digest)
        .limit(1)
        .executeTakeFirst();
      if (row !== undefined) return true;
    }
    return false;
  }

  async #referencesOf(repository: string, digest: Digest): Promise<readonly Digest[]> {
    const rows = await this.#database
      .selectFrom('registryReferences')
      .select('child')
      .where('repository', '=', repository)
      .where('digest', '=', digest)
      .orderBy('position')
      .execute();
    return rows.map(({ child }) => child);
  }

  async #roots(since: number): Promise<readonly Digest[]> {
    const rows = await this.#database
      .selectFrom('registryTags')
      .select('digest')
      .union((other) => other.selectFrom('registryManifests').select('digest').where('touchedAt', '>', since))
      .union((other) => other.selectFrom('registryBlobs').select('digest').where('linkedAt', '>', since))
      .execute();
    return rows.map(({ digest }) => digest);
  }

  async #neededBy(batch: readonly Digest[]): Promise<readonly Digest[]> {
    const rows = await this.#database
      .selectFrom('registryReferences')
      .select('child')
      .where('digest', 'in', batch)
      .union((other) => other.selectFrom('registryManifests').select('digest as child').where('subject', 'in', batch))
      .execute();
    return rows.map(({ child }) => child);
  }
}

async function insertReferences(
  transaction: Database,
  { repository, digest, references }: ManifestRecord,
): Promise<void> {
  const rows = references.map((child, position) => ({ repository, digest, position, child }));
  for (const batch of batches(rows)) await transaction.insertInto('registryReferences').values(batch).execute();
}

/** Whoever is pulling what the tag named until now may take the grace period to end. */
async function moveTag(
  transaction: Database,
  { repository, digest, createdAt }: ManifestRecord,
  tag: string,
): Promise<void> {
  const loser = await findTag(transaction, repository, tag);
  if (loser !== undefined) await touch(transaction, repository, loser, createdAt);
  await transaction
    .insertInto('registryTags')
    .values({ repository, tag, digest })
    .onConflict((conflict) => conflict.columns(['repository', 'tag']).doUpdateSet({ digest }))
    .execute();
}

async function touch(transaction: Database, repository: string, digest: Digest, touchedAt: number): Promise<void> {
  await transaction
    .updateTable('registryManifests')
    .set({ touchedAt })
    .where('repository', '=', repository)
    .where('digest', '=', digest)
    .execute();
}

async function findTag(database: Database, repository: string, tag: string): Promise<Digest | undefined> {
  const row = await database
    .selectFrom('registryTags')
    .select('digest')
    .where('repository', '=', repository)
    .where('tag', '=', tag)
    .executeTakeFirst();
  return row?.digest;
}

function recordOf({ touchedAt: _, ...row }: RegistryManifestRow, references: readonly Digest[]): ManifestRecord {
  return { ...withoutNulls(row), annotations: decodeJson(row.annotations), references };
}

function rowOf(record: ManifestRecord): RegistryManifestRow {
  return {
    repository: record.repository,
    digest: record.digest,
    mediaType: record.mediaType,
    artifactType: record.artifactType ?? null,
    sizeBytes: record.sizeBytes,
    subject: record.subject ?? null,
    annotations: encodeJson(record.annotations),
    createdAt: record.createdAt,
    touchedAt: record.createdAt,
  };
}

function* batches<T>(items: readonly T[]): Iterable<readonly T[]> {
  for (let start = 0; start < items.length; start += BATCH) yield items.slice(start, start + BATCH);
}
