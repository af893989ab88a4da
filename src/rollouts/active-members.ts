// The members of all rollouts that go on, in memory: what is asked at every heartbeat and every boot. A copy of the store, renewed
// whenever a rollout is found to have another version than the one that was read.
import type { Machine, MachineId } from '../machines/machine.ts';
import { parseImageReference } from '../images/image-reference.ts';
import type { RolloutOrder } from './agent-orders.ts';
import { nextWindowOpening, windowClosesAt } from './maintenance-window.ts';
import { ACTIVE_STATES, UNDER_WAY, type Member, type Rollout, type RolloutId } from './rollout.ts';
import type { RolloutStore } from './rollout-store.ts';

interface ActiveMember {
  readonly rollout: Rollout;
  readonly member: Member;
}

const LIMIT = 1000;

export class ActiveMembers {
  readonly #store: RolloutStore;
  readonly #versions = new Map<RolloutId, number>();
  #members = new Map<MachineId, ActiveMember>();

  constructor(store: RolloutStore) {
    this.#store = store;
  }

  /** Reads everything anew. */
  async refresh(): Promise<void> {
    const rollouts = await this.#store.list({ limit: LIMIT, states: ACTIVE_STATES });
    const members = new Map<MachineId, ActiveMember>();
    // Oldest first: where a machine is in two, the one that works on it wins, and otherwise the newest.
    for (const rollout of rollouts.toReversed())
      for (const member of await this.#store.members(rollout.id)) put(members, { rollout, member });
    this.#members = members;
    this.#versions.clear();
    for (const { id, version } of rollouts) this.#versions.set(id, version);
  }

  /** Whether these are the rollouts, in the versions, that were read. */
  isCurrent(rollouts: readonly Rollout[]): boolean {
    return (
      rollouts.length === this.#versions.size && rollouts.every(({ id, version }) => this.#versions.get(id) === version)
    );
  }

  /** What was applied a moment ago. */
  take(rollout: Rollout, changed: readonly Member[]): void {
    if (!ACTIVE_STATES.includes(rollout.state)) {
      this.#versions.delete(rollout.id);
      for (const [id, active] of this.#members) if (active.rollout.id === rollout.id) this.#members.delete(id);
      return;
    }
    this.#versions.set(rollout.id, rollout.version);
    for (const member of changed) put(this.#members, { rollout, member });
  }

  of(id: MachineId): ActiveMember | undefined {
    return this.#members.get(id);
  }

  /**
   * NAME@DIGEST for a machine that runs from RAM: the image of the rollout from its grant on; what it ran before while it waits,
   * whatever channels say meanwhile, and again where it failed.
   */
  assignedImage(machine: Machine): string | undefined {
    const active = this.#members.get(machine.id);
    if (active === undefined) return undefined;
    const { rollout, member } = active;
    const { repository, digest } = rollout.spec.image;
    switch (member.state) {
      case 'granted':
      case 'updating':
      case 'rebooting':
      case 'soaking':
      case 'succeeded':
        return `${repository}@${digest}`;
      case 'failed':
        return member.from && `${member.from.repository}@${member.from.digest}`;
      case 'waiting':
      case 'skipped':
        return runningReference(machine);
    }
  }

  /** Undefined where the machine is not to change now. */
  orderOf(machine: Machine, now: number): RolloutOrder | undefined {
    const active = this.#members.get(machine.id);
    if (active === undefined) return undefined;
    const { rollout, member } = active;
    if (!(member.state === 'granted' || member.state === 'updating' || member.state === 'rebooting')) return undefined;
    const { image, window } = rollout.spec;
    const signed = rollout.approval?.signed;
    const opening = window && nextWindowOpening(window, now);
    const closing = window && windowClosesAt(window, now);
    return {
      rollout: rollout.id,
      repository: image.repository,
      image: image.digest,
      ...(signed !== undefined && { signed }),
      ...(opening !== undefined && { notBefore: Math.floor(opening / 1000) }),
      ...(closing !== undefined && { notAfter: Math.floor(closing / 1000) }),
    };
  }
}

function put(members: Map<MachineId, ActiveMember>, active: ActiveMember): void {
  const { machineId } = active.member;
  const known = members.get(machineId);
  const isOther = known !== undefined && known.rollout.id !== active.rollout.id;
  if (isOther && UNDER_WAY.has(known.member.state) && !UNDER_WAY.has(active.member.state)) return;
  members.set(machineId, active);
}

function runningReference({ image, running }: Machine): string | undefined {
  const reference = image === undefined ? undefined : parseImageReference(image);
  return running !== undefined && reference?.kind === 'digest' && reference.digest === running.image
    ? image
    : undefined;
}
