// Machines in memory: for tests and for trying things out.
import { AppError } from '../../errors.ts';
import type { Machine, MachineId } from '../../machines/machine.ts';
import type { MachineStore, SaveOutcome } from '../../machines/machine-store.ts';
import type { MacAddress } from '../../protocol/mac-address.ts';

export class MemoryMachineStore implements MachineStore {
  readonly #machines = new Map<MachineId, Machine>();

  find(id: MachineId): Promise<Machine | undefined> {
    return Promise.resolve(this.#machines.get(id));
  }

  findByMac(mac: MacAddress): Promise<Machine | undefined> {
    return Promise.resolve(this.#ownerOf(mac));
  }

  findByUuid(uuid: string): Promise<readonly Machine[]> {
    return Promise.resolve(
      [...this.#machines.values()].filter((machine) => machine.uuid === uuid).sort((a, b) => a.createdAt - b.createdAt),
    );
  }

  list(options: { readonly limit: number; readonly state?: Machine['state'] }): Promise<readonly Machine[]> {
    return Promise.resolve(
      this.#inState(options.state)
        .sort((a, b) => b.lastSeenAt - a.lastSeenAt || (a.id < b.id ? -1 : 1))
        .slice(0, options.limit),
    );
  }

  count(state?: Machine['state']): Promise<number> {
    return Promise.resolve(this.#inState(state).length);
  }

  async insert(machine: Machine): Promise<{ readonly kind: 'inserted' | 'exists'; readonly machine: Machine }> {
    await Promise.resolve();
    for (const mac of machine.macs) {
      const known = this.#ownerOf(mac);
      if (known !== undefined) return { kind: 'exists', machine: known };
    }
    if (this.#machines.has(machine.id)) throw new AppError('storage-failure', `Machine ${machine.id} is on record.`);
    const inserted = { ...machine, version: 1 };
    this.#machines.set(machine.id, inserted);
    return { kind: 'inserted', machine: inserted };
  }

  async save(machine: Machine): Promise<SaveOutcome> {
    await Promise.resolve();
    return this.saveNow(machine);
  }

  touch(sightings: ReadonlyMap<MachineId, number>): Promise<void> {
    for (const [id, lastSeenAt] of sightings) {
      const machine = this.#machines.get(id);
      if (machine !== undefined && machine.lastSeenAt < lastSeenAt) this.#machines.set(id, { ...machine, lastSeenAt });
    }
    return Promise.resolve();
  }

  /** `save` for other stores of this folder, which must change several things in one go. */
  saveNow(machine: Machine): SaveOutcome {
    if (this.#machines.get(machine.id)?.version !== machine.version) return { kind: 'stale' };
    for (const mac of machine.macs) {
      const owner = this.#ownerOf(mac);
      if (owner !== undefined && owner.id !== machine.id)
        throw new AppError('conflict', `${mac} is on record for machine ${owner.id}.`);
    }
    const saved = { ...machine, version: machine.version + 1 };
    this.#machines.set(machine.id, saved);
    return { kind: 'saved', machine: saved };
  }

  #ownerOf(mac: MacAddress): Machine | undefined {
    return [...this.#machines.values()].find((machine) => machine.macs.includes(mac));
  }

  #inState(state: Machine['state'] | undefined): Machine[] {
    return [...this.#machines.values()].filter((machine) => state === undefined || machine.state === state);
  }
}
