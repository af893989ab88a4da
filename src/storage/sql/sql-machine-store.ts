// Machines in SQL. The MAC addresses stand in a table of their own as well: its primary key finds a machine by any of them
// and lets each belong to one machine alone.
import type { Machine, MachineId } from '../../machines/machine.ts';
import type { MachineStore, SaveOutcome } from '../../machines/machine-store.ts';
import type { MacAddress } from '../../protocol/mac-address.ts';
import { AppError } from '../../errors.ts';
import { decodeJson, encodeJson, withoutNulls } from './row-values.ts';
import type { Database, MachineRow } from './schema.ts';

export class SqlMachineStore implements MachineStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async find(id: MachineId): Promise<Machine | undefined> {
    const row = await this.#database.selectFrom('machines').selectAll().where('id', '=', id).executeTakeFirst();
    return row && machineOf(row);
  }

  findByMac(mac: MacAddress): Promise<Machine | undefined> {
    return findByMac(this.#database, mac);
  }

  async findByUuid(uuid: string): Promise<readonly Machine[]> {
    const rows = await this.#database
      .selectFrom('machines')
      .selectAll()
      .where('uuid', '=', uuid)
      .orderBy('createdAt')
      .orderBy('id')
      .execute();
    return rows.map(machineOf);
  }

  async list(options: { readonly limit: number; readonly state?: Machine['state'] }): Promise<readonly Machine[]> {
    let query = this.#database.selectFrom('machines').selectAll();
    if (options.state !== undefined) query = query.where('state', '=', options.state);
    const rows = await query.orderBy('lastSeenAt', 'desc').orderBy('id').limit(options.limit).execute();
    return rows.map(machineOf);
  }

  async count(state?: Machine['state']): Promise<number> {
    let query = this.#database
      .selectFrom('machines')
      .select((expression) => expression.fn.countAll<number | string>().as('machines'));
    if (state !== undefined) query = query.where('state', '=', state);
    // PostgreSQL counts in bigint, which its driver hands over as text.
    return Number((await query.executeTakeFirstOrThrow()).machines);
  }

  insert(machine: Machine): Promise<{ readonly kind: 'inserted' | 'exists'; readonly machine: Machine }> {
    return this.#database.transaction().execute(async (transaction) => {
      for (const mac of machine.macs) {
        const known = await findByMac(transaction, mac);
        if (known !== undefined) return { kind: 'exists', machine: known } as const;
      }
      const inserted = { ...machine, version: 1 };
      await transaction.insertInto('machines').values(rowOf(inserted)).execute();
      await insertMacs(transaction, inserted);
      return { kind: 'inserted', machine: inserted } as const;
    });
  }

  save(machine: Machine): Promise<SaveOutcome> {
    return this.#database.transaction().execute((transaction) => saveMachine(transaction, machine));
  }

  async touch(sightings: ReadonlyMap<MachineId, number>): Promise<void> {
    if (sightings.size === 0) return;
    await this.#database.transaction().execute(async (transaction) => {
      for (const [id, lastSeenAt] of sightings)
        await transaction
          .updateTable('machines')
          .set({ lastSeenAt })
          .where('id', '=', id)
          .where('lastSeenAt', '<', lastSeenAt)
          .execute();
    });
  }
}

/** MachineStore.save as a part of the caller's transaction. */
export async function saveMachine(transaction: Database, machine: Machine): Promise<SaveOutcome> {
  const saved = { ...machine, version: machine.version + 1 };
  const { numUpdatedRows } = await transaction
    .updateTable('machines')
    .set(rowOf(saved))
    .where('id', '=', machine.id)
    .where('version', '=', machine.version)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) return { kind: 'stale' };
  await transaction.deleteFrom('machineMacs').where('machineId', '=', machine.id).execute();
  await refuseForeignMacs(transaction, machine);
  await insertMacs(transaction, machine);
  return { kind: 'saved', machine: saved };
}

async function refuseForeignMacs(transaction: Database, machine: Machine): Promise<void> {
  for (const mac of machine.macs) {
    const owner = await findByMac(transaction, mac);
    if (owner !== undefined) throw new AppError('conflict', `${mac} is on record for machine ${owner.id}.`);
  }
}

async function insertMacs(transaction: Database, machine: Machine): Promise<void> {
  if (machine.macs.length === 0) return;
  // Some firmware names one address for two interfaces.
  const rows = [...new Set(machine.macs)].map((mac) => ({ mac, machineId: machine.id }));
  await transaction.insertInto('machineMacs').values(rows).execute();
}

async function findByMac(database: Database, mac: MacAddress): Promise<Machine | undefined> {
  const row = await database
    .selectFrom('machines')
    .innerJoin('machineMacs', 'machineMacs.machineId', 'machines.id')
    .selectAll('machines')
    .where('machineMacs.mac', '=', mac)
    .executeTakeFirst();
  return row && machineOf(row);
}

function machineOf(row: MachineRow): Machine {
  const { running, ...rest } = row;
  return {
    ...withoutNulls(rest),
    ...(running !== null && { running: decodeJson(running) }),
    macs: decodeJson(row.macs),
    labels: decodeJson(row.labels),
    facts: decodeJson(row.facts),
  };
}

/** Names every column: a save must also empty the columns of what the machine no longer has. */
function rowOf(machine: Machine): MachineRow {
  return {
    id: machine.id,
    macs: encodeJson(machine.macs),
    uuid: machine.uuid ?? null,
    serial: machine.serial ?? null,
    hostname: machine.hostname ?? null,
    architecture: machine.architecture ?? null,
    state: machine.state,
    stateReason: machine.stateReason,
    stateSince: machine.stateSince,
    labels: encodeJson(machine.labels),
    facts: encodeJson(machine.facts),
    profile: machine.profile ?? null,
    image: machine.image ?? null,
    address: machine.address ?? null,
    certificateSerial: machine.certificateSerial ?? null,
    configDigest: machine.configDigest ?? null,
    running: machine.running === undefined ? null : encodeJson(machine.running),
    installedAt: machine.installedAt ?? null,
    createdAt: machine.createdAt,
    lastSeenAt: machine.lastSeenAt,
    version: machine.version,
  };
}
