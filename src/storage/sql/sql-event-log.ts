// The event log in SQL. Numbers come from a counter row that the writing transaction holds: they follow the order of commits,
// so that a reader who asks for what came after a number can miss nothing.
import type { BootEvent, NewBootEvent } from '../../events/boot-event.ts';
import type { EventLog, EventQuery } from '../../events/event-log.ts';
import { decodeJson, encodeJson } from './row-values.ts';
import type { Database, EventRow } from './schema.ts';

/** Seven parameters each: SQLite takes 32,766 in one statement, PostgreSQL 65,535. */
const ROWS_PER_INSERT = 500;

export class SqlEventLog implements EventLog {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async append(
    events: readonly { readonly at: number; readonly event: NewBootEvent }[],
  ): Promise<readonly BootEvent[]> {
    if (events.length === 0) return [];
    return this.#database.transaction().execute(async (transaction) => {
      const { value: lastSeq } = await transaction
        .updateTable('counters')
        .set((expression) => ({ value: expression('value', '+', events.length) }))
        .where('name', '=', 'event-seq')
        .returning('value')
        .executeTakeFirstOrThrow();
      const firstSeq = lastSeq - events.length + 1;
      const stored = events.map(({ at, event }, index) => ({ ...event, seq: firstSeq + index, at }));
      for (let start = 0; start < events.length; start += ROWS_PER_INSERT) {
        const rows = events
          .slice(start, start + ROWS_PER_INSERT)
          .map(({ at, event }, index) => rowOf(firstSeq + start + index, at, event));
        await transaction.insertInto('events').values(rows).execute();
      }
      return stored;
    });
  }

  async query(query: EventQuery): Promise<readonly BootEvent[]> {
    let select = this.#database.selectFrom('events').select(['seq', 'at', 'event']).limit(query.limit);
    if (query.machineId !== undefined) select = select.where('machineId', '=', query.machineId);
    if (query.mac !== undefined) select = select.where('mac', '=', query.mac);
    if (query.sessionId !== undefined) select = select.where('sessionId', '=', query.sessionId);
    if (query.kind !== undefined) select = select.where('kind', '=', query.kind);
    const rows =
      query.afterSeq === undefined
        ? (await select.orderBy('seq', 'desc').execute()).reverse()
        : await select.where('seq', '>', query.afterSeq).orderBy('seq').execute();
    return rows.map(({ seq, at, event }) => ({ ...decodeJson(event), seq, at }));
  }

  async prune(keep: number): Promise<number> {
    const { numDeletedRows } = await this.#database
      .deleteFrom('events')
      .where('seq', '<=', (expression) =>
        expression.selectFrom('events').select('seq').orderBy('seq', 'desc').limit(1).offset(keep),
      )
      .executeTakeFirst();
    return Number(numDeletedRows);
  }
}

function rowOf(seq: number, at: number, event: NewBootEvent): EventRow {
  return {
    seq,
    at,
    kind: event.kind,
    machineId: event.machineId ?? null,
    mac: event.mac ?? null,
    sessionId: event.sessionId ?? null,
    event: encodeJson(event),
  };
}
