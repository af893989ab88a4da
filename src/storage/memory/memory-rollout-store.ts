// Rollouts in memory: for tests and for trying things out.
import type { MachineId } from '../../machines/machine.ts';
import { UNDER_WAY, type Member, type Rollout, type RolloutId, type RolloutState } from '../../rollouts/rollout.ts';
import type { ApplyOutcome, Freeze, Pin, RolloutChange, RolloutStore } from '../../rollouts/rollout-store.ts';

const ACTIVE: ReadonlySet<RolloutState> = new Set(['running', 'paused', 'halted']);

export class MemoryRolloutStore implements RolloutStore {
  readonly #rollouts = new Map<RolloutId, Rollout>();
  readonly #members = new Map<RolloutId, Map<MachineId, Member>>();
  readonly #pins = new Map<MachineId, Pin>();
  readonly #freezes = new Map<string, Freeze>();
  #epoch = 0;

  create(rollout: Rollout, members: readonly Member[]): Promise<void> {
    this.#rollouts.set(rollout.id, rollout);
    this.#members.set(rollout.id, new Map(members.map((member) => [member.machineId, member])));
    return Promise.resolve();
  }

  find(id: RolloutId): Promise<Rollout | undefined> {
    return Promise.resolve(this.#rollouts.get(id));
  }

  list({ limit, states }: Parameters<RolloutStore['list']>[0]): Promise<readonly Rollout[]> {
    const found = [...this.#rollouts.values()]
      .filter(({ state }) => states === undefined || states.includes(state))
      .sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
    return Promise.resolve(found.slice(0, limit));
  }

  members(id: RolloutId): Promise<readonly Member[]> {
    return Promise.resolve([...(this.#members.get(id)?.values() ?? [])].sort((a, b) => a.place - b.place));
  }

  activeMembers(machineId: MachineId): Promise<readonly Member[]> {
    const active = [...this.#rollouts.values()].filter(({ state }) => ACTIVE.has(state));
    const found = active.flatMap(({ id }) => this.#members.get(id)?.get(machineId) ?? []);
    return Promise.resolve(found.sort((a, b) => (a.rolloutId < b.rolloutId ? -1 : 1)));
  }

  underWayElsewhere(id: RolloutId): Promise<readonly Member[]> {
    const others = [...this.#members.entries()].filter(([other]) => other !== id);
    return Promise.resolve(
      others.flatMap(([, members]) => [...members.values()].filter(({ state }) => UNDER_WAY.has(state))),
    );
  }

  epoch(): Promise<number> {
    return Promise.resolve(this.#epoch);
  }

  apply({ rollout, members }: RolloutChange, epoch: number): Promise<ApplyOutcome> {
    const known = this.#members.get(rollout.id);
    const isFresh = epoch === this.#epoch && this.#rollouts.get(rollout.id)?.version === rollout.version;
    if (known === undefined || !isFresh) return Promise.resolve({ kind: 'stale' });
    const applied = { ...rollout, version: rollout.version + 1 };
    this.#rollouts.set(rollout.id, applied);
    for (const member of members) known.set(member.machineId, member);
    this.#epoch += 1;
    return Promise.resolve({ kind: 'applied', rollout: applied });
  }

  pins(): Promise<readonly Pin[]> {
    return Promise.resolve([...this.#pins.values()].sort((a, b) => (a.machineId < b.machineId ? -1 : 1)));
  }

  pin(pin: Pin): Promise<void> {
    this.#pins.set(pin.machineId, pin);
    return Promise.resolve();
  }

  unpin(machineId: MachineId): Promise<boolean> {
    return Promise.resolve(this.#pins.delete(machineId));
  }

  freezes(now: number): Promise<readonly Freeze[]> {
    const inForce = [...this.#freezes.values()].filter(({ until }) => until > now);
    return Promise.resolve(inForce.sort((a, b) => (a.id < b.id ? -1 : 1)));
  }

  freeze(freeze: Freeze): Promise<void> {
    this.#freezes.set(freeze.id, freeze);
    return Promise.resolve();
  }

  thaw(id: string): Promise<boolean> {
    return Promise.resolve(this.#freezes.delete(id));
  }
}
