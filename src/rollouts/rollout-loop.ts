// The loop of the rollouts: sees what machines report, decides by decideWave and applies what was decided. All that lasts is in the
// store, so that a killed server goes on where it was, and two servers on one store never grant more than one would.
import type { Clock, Scheduler } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { EventRecorder } from '../events/event-recorder.ts';
import type { AgentBeat } from '../machines/agent-beat.ts';
import type { BeatObserver } from '../machines/agent-service.ts';
import type { Machine, MachineId } from '../machines/machine.ts';
import type { MachineStore } from '../machines/machine-store.ts';
import { ActiveMembers } from './active-members.ts';
import type { RolloutOrder } from './agent-orders.ts';
import { decideWave, joinersOf } from './decide-wave.ts';
import { MachineWords } from './machine-views.ts';
import { ACTIVE_STATES, type Member, type Rollout, type RolloutId, type RolloutState } from './rollout.ts';
import type { RolloutStore } from './rollout-store.ts';
import type { MachineView, RolloutWorld } from './rollout-world.ts';

export interface RolloutLoopParts {
  readonly store: RolloutStore;
  readonly machines: Pick<MachineStore, 'list'>;
  readonly events: Pick<EventRecorder, 'recordNow'>;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** A rollout halted by itself a moment ago. */
  readonly onHalted: (rollout: Rollout) => Promise<void>;
  readonly onFailure: (error: unknown, rollout?: RolloutId) => void;
  readonly settings: {
    readonly tickMilliseconds: number;
    readonly offlineSeconds: number;
    readonly maxMachines: number;
  };
}

/** A decision that met a newer one is made again so often. */
const TRIES = 50;
/** And so many steps follow each other at most before others have their turn. */
const STEPS = 20;
const ACTIVE_LIMIT = 1000;
/** Of an aborted one, machines that were on their way already are seen to their end. */
const LOOKED_AT: readonly RolloutState[] = [...ACTIVE_STATES, 'aborted'];
/** A rollout in which nothing happens is looked at so often nevertheless: machines join, and other servers decide. */
const LOOK_AGAIN_MS = 15_000;

export class RolloutLoop implements BeatObserver {
  readonly #parts: RolloutLoopParts;
  readonly #words = new MachineWords();
  readonly #active: ActiveMembers;
  readonly #dueAt = new Map<RolloutId, number>();
  readonly #listeningSince: number;
  #cancelTick: (() => void) | undefined;
  #ticking: Promise<void> = Promise.resolve();

  constructor(parts: RolloutLoopParts) {
    this.#parts = parts;
    this.#active = new ActiveMembers(parts.store);
    this.#listeningSince = parts.clock.now();
  }

  /** Reads where all rollouts are, and goes on with them. */
  async start(): Promise<void> {
    await this.#active.refresh();
    const next = (): void => {
      this.#cancelTick = this.#parts.scheduler.after(this.#parts.settings.tickMilliseconds, () => {
        this.#ticking = this.tick().finally(() => {
          if (this.#cancelTick !== undefined) next();
        });
      });
    };
    next();
  }

  async stop(): Promise<void> {
    this.#cancelTick?.();
    this.#cancelTick = undefined;
    await this.#ticking;
  }

  /** Called at each heartbeat: does no I/O. */
  observe(machineId: MachineId, beat: AgentBeat): void {
    if (!this.#words.take(machineId, beat, this.#parts.clock.now())) return;
    const member = this.#active.of(machineId);
    if (member !== undefined) this.#dueAt.set(member.rollout.id, 0);
  }

  /** NAME@DIGEST that a machine boots while a rollout has it, in the place of what its profile says. */
  assignedImage(machine: Machine): string | undefined {
    return this.#active.assignedImage(machine);
  }

  orderOf(machine: Machine): RolloutOrder | undefined {
    return this.#active.orderOf(machine, this.#parts.clock.now());
  }

  /** One look at every rollout that may have something to do. */
  async tick(): Promise<void> {
    const now = this.#parts.clock.now();
    const rollouts = await this.#parts.store
      .list({ limit: ACTIVE_LIMIT, states: LOOKED_AT })
      .catch((error: unknown): readonly Rollout[] => {
        this.#parts.onFailure(error);
        return [];
      });
    const active = rollouts.filter(({ state }) => state !== 'aborted');
    if (!this.#active.isCurrent(active)) await this.#active.refresh();
    for (const { id } of rollouts) {
      if ((this.#dueAt.get(id) ?? 0) > now) continue;
      try {
        await this.work(id);
      } catch (error) {
        this.#dueAt.set(id, now + LOOK_AGAIN_MS);
        this.#parts.onFailure(error, id);
      }
    }
  }

  /** Decides and applies until nothing changes any more. */
  async work(id: RolloutId): Promise<void> {
    for (let step = 0; step < STEPS; step += 1) {
      const nextAt = await this.#step(id);
      if (nextAt === undefined) continue;
      this.#dueAt.set(id, nextAt);
      return;
    }
    this.#dueAt.set(id, 0);
  }

  /** When to look again where nothing was to be done; undefined where something was. */
  async #step(id: RolloutId): Promise<number | undefined> {
    const { store } = this.#parts;
    for (let tries = 0; tries < TRIES; tries += 1) {
      // The epoch is read before everything else: what changes after it makes the decision stale.
      const epoch = await store.epoch();
      const { world, joiners } = await this.#look(await this.#get(id));
      const { rollout, members, events, nextAt } = decideWave(world);
      if (members.length === 0 && joiners.length === 0 && rollout === world.rollout) {
        const again = this.#parts.clock.now() + LOOK_AGAIN_MS;
        return Math.min(nextAt ?? Infinity, rollout.state === 'aborted' && nextAt === undefined ? Infinity : again);
      }
      const changed = new Map([...joiners, ...members].map((member) => [member.machineId, member]));
      const applied = await store.apply({ rollout, members: [...changed.values()] }, epoch);
      if (applied.kind === 'stale') continue;
      this.#active.take(applied.rollout, [...changed.values()]);
      for (const event of events) await this.#parts.events.recordNow(event);
      if (world.rollout.state === 'running' && applied.rollout.state === 'halted')
        await this.#parts.onHalted(applied.rollout);
      return undefined;
    }
    return this.#parts.clock.now();
  }

  async world(rollout: Rollout): Promise<RolloutWorld> {
    return (await this.#look(rollout)).world;
  }

  async #look(rollout: Rollout): Promise<{ readonly world: RolloutWorld; readonly joiners: readonly Member[] }> {
    const { store, clock, settings } = this.#parts;
    const now = clock.now();
    const [members, views, elsewhere, pins, freezes] = await Promise.all([
      store.members(rollout.id),
      this.views(rollout.id),
      store.underWayElsewhere(rollout.id),
      store.pins(),
      store.freezes(now),
    ]);
    const joiners = joinersOf(rollout, members, views);
    const world = {
      rollout: joiners.length === 0 ? rollout : withJoiners(rollout, joiners.length),
      members: [...members, ...joiners],
      machines: new Map(views.map((view) => [view.id, view])),
      ...{ elsewhere, pins, freezes, now },
      offlineAfterMs: settings.offlineSeconds * 1000,
      listeningSince: this.#listeningSince,
    };
    return { world, joiners };
  }

  /** All machines, with what they said of this rollout's order. */
  async views(id: RolloutId): Promise<readonly MachineView[]> {
    const machines = await this.#parts.machines.list({ limit: this.#parts.settings.maxMachines });
    return machines.map((machine) => this.#words.viewOf(machine, id));
  }

  /** Somebody changed this rollout, or what all of them depend on. */
  async changed(id?: RolloutId): Promise<void> {
    if (id === undefined) this.#dueAt.clear();
    else this.#dueAt.delete(id);
    await this.#active.refresh();
  }

  async #get(id: RolloutId): Promise<Rollout> {
    const rollout = await this.#parts.store.find(id);
    if (rollout === undefined) throw new AppError('not-found', `there is no rollout ${id}`);
    return rollout;
  }
}

/** Joiners are in no wave but the last: see waveEnds. */
function withJoiners(rollout: Rollout, count: number): Rollout {
  return {
    ...rollout,
    memberCount: rollout.memberCount + count,
    joinedCount: (rollout.joinedCount ?? 0) + count,
  };
}
