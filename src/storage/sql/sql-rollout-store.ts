// Rollouts in SQL. What is asked for by a condition has a column, the rest is a document. One row with a number, the epoch, makes
// every change of a rollout exclude every other one that was decided on the same ground.
import { UNDER_WAY, type Member, type Rollout, type RolloutId } from '../../rollouts/rollout.ts';
import type { ApplyOutcome, Freeze, Pin, RolloutChange, RolloutStore } from '../../rollouts/rollout-store.ts';
import type { MachineId } from '../../machines/machine.ts';
import { decodeJson, encodeJson } from './row-values.ts';
import type { Database, RolloutMemberRow } from './schema.ts';

const EPOCH = 'rollouts';
/** Rows of one statement: SQLite takes 32,766 values, PostgreSQL 65,535. */
const CHUNK = 1000;

export class SqlRolloutStore implements RolloutStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async create(rollout: Rollout, members: readonly Member[]): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      const { id, state, createdAt, version } = rollout;
      await transaction
        .insertInto('rollouts')
        .values({ id, state, createdAt, version, document: encodeJson(rollout) })
        .execute();
      await putMembers(transaction, members);
    });
  }

  async find(id: RolloutId): Promise<Rollout | undefined> {
    const row = await this.#database.selectFrom('rollouts').select('document').where('id', '=', id).executeTakeFirst();
    return row && decodeJson(row.document);
  }

  async list({ limit, states }: Parameters<RolloutStore['list']>[0]): Promise<readonly Rollout[]> {
    let query = this.#database.selectFrom('rollouts').select('document');
    if (states !== undefined) query = query.where('state', 'in', states);
    const rows = await query.orderBy('createdAt', 'desc').orderBy('id', 'desc').limit(limit).execute();
    return rows.map(({ document }) => decodeJson(document));
  }

  async members(id: RolloutId): Promise<readonly Member[]> {
    const rows = await this.#members().where('rolloutId', '=', id).orderBy('place').execute();
    return rows.map(memberOf);
  }

  async activeMembers(machineId: MachineId): Promise<readonly Member[]> {
    const rows = await this.#members()
      .where('machineId', '=', machineId)
      .where('rolloutId', 'in', (inner) =>
        inner.selectFrom('rollouts').select('id').where('state', 'in', ['running', 'paused', 'halted']),
      )
      .orderBy('rolloutId')
      .execute();
    return rows.map(memberOf);
  }

  async underWayElsewhere(id: RolloutId): Promise<readonly Member[]> {
    const rows = await this.#members()
      .where('state', 'in', [...UNDER_WAY])
      .where('rolloutId', '<>', id)
      .execute();
    return rows.map(memberOf);
  }

  epoch(): Promise<number> {
    return readEpoch(this.#database);
  }

  apply({ rollout, members }: RolloutChange, epoch: number): Promise<ApplyOutcome> {
    return this.#database.transaction().execute(async (transaction): Promise<ApplyOutcome> => {
      if ((await readEpoch(transaction)) !== epoch) return { kind: 'stale' };
      const applied = { ...rollout, version: rollout.version + 1 };
      const { numUpdatedRows } = await transaction
        .updateTable('rollouts')
        .set({ state: applied.state, version: applied.version, document: encodeJson(applied) })
        .where('id', '=', rollout.id)
        .where('version', '=', rollout.version)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) return { kind: 'stale' };
      await putMembers(transaction, members);
      await transaction
        .insertInto('counters')
        .values({ name: EPOCH, value: epoch + 1 })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: epoch + 1 }))
        .execute();
      return { kind: 'applied', rollout: applied };
    });
  }

  async pins(): Promise<readonly Pin[]> {
    return this.#database.selectFrom('rolloutPins').selectAll().orderBy('machineId').execute();
  }

  async pin({ machineId, note, by, at }: Pin): Promise<void> {
    await this.#database
      .insertInto('rolloutPins')
      .values({ machineId, note, by, at })
      .onConflict((conflict) => conflict.column('machineId').doUpdateSet({ note, by, at }))
      .execute();
  }

  async unpin(machineId: MachineId): Promise<boolean> {
    const { numDeletedRows } = await this.#database
      .deleteFrom('rolloutPins')
      .where('machineId', '=', machineId)
      .executeTakeFirst();
    return numDeletedRows > 0n;
  }

  async freezes(now: number): Promise<readonly Freeze[]> {
    const rows = await this.#database
      .selectFrom('rolloutFreezes')
      .select('document')
      .where('endsAt', '>', now)
      .orderBy('id')
      .execute();
    return rows.map(({ document }) => decodeJson(document));
  }

  async freeze(freeze: Freeze): Promise<void> {
    await this.#database
      .insertInto('rolloutFreezes')
      .values({ id: freeze.id, endsAt: freeze.until, document: encodeJson(freeze) })
      .execute();
  }

  async thaw(id: string): Promise<boolean> {
    const { numDeletedRows } = await this.#database
      .deleteFrom('rolloutFreezes')
      .where('id', '=', id)
      .executeTakeFirst();
    return numDeletedRows > 0n;
  }

  #members() {
    return this.#database.selectFrom('rolloutMembers').selectAll();
  }
}

async function readEpoch(database: Database): Promise<number> {
  const row = await database.selectFrom('counters').select('value').where('name', '=', EPOCH).executeTakeFirst();
  return row?.value ?? 0;
}

async function putMembers(transaction: Database, members: readonly Member[]): Promise<void> {
  for (let start = 0; start < members.length; start += CHUNK) {
    const rows = members.slice(start, start + CHUNK).map(rowOf);
    await transaction
      .insertInto('rolloutMembers')
      .values(rows)
      .onConflict((conflict) =>
        conflict.columns(['rolloutId', 'machineId']).doUpdateSet((expression) => ({
          state: expression.ref('excluded.state'),
          document: expression.ref('excluded.document'),
        })),
      )
      .execute();
  }
}

function rowOf(member: Member): RolloutMemberRow {
  const { rolloutId, machineId, place, state } = member;
  return { rolloutId, machineId, place, state, document: encodeJson(member) };
}

function memberOf({ document }: RolloutMemberRow): Member {
  return decodeJson(document);
}
