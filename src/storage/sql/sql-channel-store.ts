// Channels in SQL: one row for each move; the key (repository, channel, number) lets one of two simultaneous moves win.
import { presentMove, type ChannelMove } from '../../images/channels/channel.ts';
import type { ChannelStore } from '../../images/channels/channel-store.ts';
import type { Digest } from '../../images/digest.ts';
import type { ChannelMoveRow, Database } from './schema.ts';
import { withoutNulls } from './row-values.ts';

export class SqlChannelStore implements ChannelStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async find(repository: string, channel: string, number?: number): Promise<ChannelMove | undefined> {
    const query = this.#of(repository, channel);
    const row = await (number === undefined ? query : query.where('number', '=', number)).limit(1).executeTakeFirst();
    const move = row && moveOf(row);
    return number === undefined ? presentMove(move) : move;
  }

  async list(repository?: string): Promise<readonly ChannelMove[]> {
    const query = this.#database
      .selectFrom('channelMoves as move')
      .selectAll('move')
      .where('move.number', '=', (inner) =>
        inner
          .selectFrom('channelMoves as other')
          .select((expression) => expression.fn.max('other.number').as('number'))
          .whereRef('other.repository', '=', 'move.repository')
          .whereRef('other.channel', '=', 'move.channel'),
      )
      .where('move.kind', '!=', 'removed')
      .orderBy('move.repository')
      .orderBy('move.channel');
    const rows = await (repository === undefined ? query : query.where('move.repository', '=', repository)).execute();
    return rows.map(moveOf);
  }

  async history(repository: string, channel: string, limit: number): Promise<readonly ChannelMove[]> {
    const rows = await this.#of(repository, channel).limit(limit).execute();
    return rows.map(moveOf);
  }

  async append(move: ChannelMove): Promise<boolean> {
    const { numInsertedOrUpdatedRows } = await this.#database
      .insertInto('channelMoves')
      .values(rowOf(move))
      .onConflict((conflict) => conflict.columns(['repository', 'channel', 'number']).doNothing())
      .executeTakeFirst();
    return numInsertedOrUpdatedRows === 1n;
  }

  async pinned(): Promise<ReadonlySet<Digest>> {
    return new Set((await this.list()).flatMap(({ digest, before }) => [digest, ...(before ? [before.digest] : [])]));
  }

  /** Newest first. */
  #of(repository: string, channel: string) {
    return this.#database
      .selectFrom('channelMoves')
      .selectAll()
      .where('repository', '=', repository)
      .where('channel', '=', channel)
      .orderBy('number', 'desc');
  }
}

function moveOf(row: ChannelMoveRow): ChannelMove {
  const { beforeRelease, beforeDigest, ...move } = withoutNulls(row);
  if (beforeRelease === undefined || beforeDigest === undefined) return move;
  return { ...move, before: { release: beforeRelease, digest: beforeDigest } };
}

function rowOf({ before, ...move }: ChannelMove): ChannelMoveRow {
  return { ...move, beforeRelease: before?.release ?? null, beforeDigest: before?.digest ?? null };
}
