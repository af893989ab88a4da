// Boot sessions in SQL, with the hashes of their tokens and the fetches counted so far: both go when the session goes.
import {
  BOOT_CAPABILITIES,
  type BootCapability,
  type BootSession,
  type BootSessionId,
} from '../../boot-sessions/boot-session.ts';
import type { BootSessionStore } from '../../boot-sessions/boot-session-store.ts';
import type { MachineId } from '../../machines/machine.ts';
import { withoutNulls } from './row-values.ts';
import type { BootSessionRow, Database } from './schema.ts';

export class SqlBootSessionStore implements BootSessionStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async insert(session: BootSession, tokenHashes: Readonly<Record<BootCapability, string>>): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      // Clocks step back, so `createdAt` cannot tell which session of a machine is its latest.
      const latest = await transaction
        .selectFrom('bootSessions')
        .select('ordinal')
        .where('machineId', '=', session.machineId)
        .orderBy('ordinal', 'desc')
        .limit(1)
        .executeTakeFirst();
      await transaction
        .insertInto('bootSessions')
        .values(rowOf(session, (latest?.ordinal ?? 0) + 1))
        .execute();
      const hashes = BOOT_CAPABILITIES.map((capability) => ({
        hash: tokenHashes[capability],
        sessionId: session.id,
        capability,
      }));
      await transaction.insertInto('bootSessionTokens').values(hashes).execute();
    });
  }

  async find(id: BootSessionId): Promise<BootSession | undefined> {
    const row = await this.#database.selectFrom('bootSessions').selectAll().where('id', '=', id).executeTakeFirst();
    return row && sessionOf(row);
  }

  async findByTokenHash(
    hash: string,
  ): Promise<{ readonly session: BootSession; readonly capability: BootCapability } | undefined> {
    const row = await this.#database
      .selectFrom('bootSessions')
      .innerJoin('bootSessionTokens', 'bootSessionTokens.sessionId', 'bootSessions.id')
      .selectAll('bootSessions')
      .select('bootSessionTokens.capability')
      .where('bootSessionTokens.hash', '=', hash)
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const { capability, ...session } = row;
    return { session: sessionOf(session), capability };
  }

  async latestOfMachine(machineId: MachineId): Promise<BootSession | undefined> {
    const row = await this.#database
      .selectFrom('bootSessions')
      .selectAll()
      .where('machineId', '=', machineId)
      .orderBy('ordinal', 'desc')
      .limit(1)
      .executeTakeFirst();
    return row && sessionOf(row);
  }

  async update(
    id: BootSessionId,
    changes: Partial<Pick<BootSession, 'scriptServedAt' | 'image' | 'profile' | 'expiresAt'>>,
  ): Promise<void> {
    if (Object.keys(changes).length === 0) return;
    await this.#database.updateTable('bootSessions').set(changes).where('id', '=', id).execute();
  }

  async imagesInUse(now: number): Promise<ReadonlySet<string>> {
    const rows = await this.#database
      .selectFrom('bootSessions')
      .select('image')
      .distinct()
      .where('expiresAt', '>', now)
      .where('image', 'is not', null)
      .execute();
    return new Set(rows.flatMap(({ image }) => image ?? []));
  }

  async countFetch(id: BootSessionId, resource: string, limit: number): Promise<boolean> {
    if (limit <= 0) return false;
    // One statement, so that no other fetch can come between the look and the count.
    const { numInsertedOrUpdatedRows } = await this.#database
      .insertInto('bootSessionFetches')
      .columns(['sessionId', 'resource', 'fetches'])
      .expression((expression) =>
        expression
          .selectFrom('bootSessions')
          .select('bootSessions.id as sessionId')
          .select([expression.val(resource).as('resource'), expression.val(1).as('fetches')])
          .where('bootSessions.id', '=', id),
      )
      .onConflict((conflict) =>
        conflict
          .columns(['sessionId', 'resource'])
          .doUpdateSet((expression) => ({ fetches: expression('bootSessionFetches.fetches', '+', 1) }))
          .where('bootSessionFetches.fetches', '<', limit),
      )
      .executeTakeFirst();
    return numInsertedOrUpdatedRows === 1n;
  }

  async removeExpired(before: number): Promise<number> {
    const { numDeletedRows } = await this.#database
      .deleteFrom('bootSessions')
      .where('expiresAt', '<', before)
      .executeTakeFirst();
    return Number(numDeletedRows);
  }
}

function rowOf(session: BootSession, ordinal: number): BootSessionRow {
  return {
    id: session.id,
    machineId: session.machineId,
    ordinal,
    mac: session.mac,
    architecture: session.architecture,
    serverAddress: session.serverAddress,
    createdAt: session.createdAt,
    expiresAt: session.expiresAt,
    scriptServedAt: session.scriptServedAt ?? null,
    image: session.image ?? null,
    profile: session.profile ?? null,
  };
}

function sessionOf({ ordinal: _ordinal, ...row }: BootSessionRow): BootSession {
  return withoutNulls(row);
}
