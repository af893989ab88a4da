// The working copy of one decision: members by place, what each wave has come to, and the events of the changes made so far.
// Lives as long as one call; the world that it was made from stays as it is.
import type { Member, MemberState, Rollout, RolloutState } from './rollout.ts';
import type { MachineView, RolloutEvent, RolloutWorld } from './rollout-world.ts';
import { waveEnds, waveOfPlace } from './waves.ts';

const ENDED: ReadonlySet<MemberState> = new Set(['succeeded', 'failed', 'skipped']);

export function hasEnded(state: MemberState): boolean {
  return ENDED.has(state);
}

/** How far a wave is. */
interface WaveCount {
  members: number;
  ended: number;
  failed: number;
  skipped: number;
}

export class RolloutSheet {
  readonly world: RolloutWorld;
  readonly members: Member[];
  readonly waves: readonly Readonly<WaveCount>[];
  readonly events: RolloutEvent[] = [];
  rollout: Rollout;
  readonly #counts: WaveCount[];
  readonly #ends: readonly number[];
  readonly #changed = new Set<number>();

  constructor(world: RolloutWorld) {
    const { rollout } = world;
    this.world = world;
    this.rollout = rollout;
    this.members = [...world.members].sort((a, b) => a.place - b.place);
    this.#ends = waveEnds(rollout.spec.waves, rollout.memberCount, rollout.joinedCount);
    this.#counts = this.#ends.map(() => ({ members: 0, ended: 0, failed: 0, skipped: 0 }));
    this.waves = this.#counts;
    for (const member of this.members) this.#count(member, 1);
  }

  get changedMembers(): readonly Member[] {
    return this.members.filter((_, index) => this.#changed.has(index));
  }

  get failures(): number {
    return this.#counts.reduce((sum, { failed }) => sum + failed, 0);
  }

  waveOf(member: Member): number {
    return waveOfPlace(this.#ends, member.place);
  }

  machineOf(member: Member): MachineView | undefined {
    return this.world.machines.get(member.machineId);
  }

  /** Whether every member of the waves up to this one has come to an end. */
  hasEndedUpTo(wave: number): boolean {
    return this.#counts.every(({ members, ended }, index) => index > wave || members === ended);
  }

  replace(index: number, next: Member): void {
    const before = this.members[index];
    if (before === undefined || next === before) return;
    this.#count(before, -1);
    this.#count(next, 1);
    this.members[index] = next;
    this.#changed.add(index);
    if (next.state === before.state) return;
    const details = { rollout: this.rollout.id, from: before.state, to: next.state, reason: next.reason };
    this.events.push({ kind: 'rollout-member', machineId: next.machineId, details });
  }

  setState(to: RolloutState, reason: string): void {
    const { id, state: from } = this.rollout;
    this.rollout = { ...this.rollout, state: to, stateReason: reason, stateSince: this.world.now };
    this.events.push({ kind: 'rollout-state', details: { rollout: id, from, to, reason, by: 'muster' } });
  }

  beginWave(wave: number): void {
    this.rollout = { ...this.rollout, wave };
    const machines = this.#counts[wave]?.members ?? 0;
    this.events.push({ kind: 'rollout-wave', details: { rollout: this.rollout.id, wave, machines } });
  }

  #count(member: Member, by: 1 | -1): void {
    const count = this.#counts[this.waveOf(member)];
    if (count === undefined) return;
    count.members += by;
    if (hasEnded(member.state)) count.ended += by;
    if (member.state === 'failed') count.failed += by;
    if (member.state === 'skipped') count.skipped += by;
  }
}
