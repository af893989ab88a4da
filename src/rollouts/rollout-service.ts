// What people do with rollouts: make, approve, hold, end and take back; pins and freezes. The rest is the loop's.
import { AppError } from '../errors.ts';
import type { Clock, RandomSource, Scheduler } from '../clock.ts';
import type { EventRecorder } from '../events/event-recorder.ts';
import type { SigningKey } from '../images/trust/signature.ts';
import type { MachineId } from '../machines/machine.ts';
import type { MachineStore } from '../machines/machine-store.ts';
import { holdsOf, waitingFor, type Hold } from './holds.ts';
import { previewRollout, type RolloutPreview } from './preview.ts';
import { RolloutLoop } from './rollout-loop.ts';
import { renderRolloutDocument } from './rollout-document.ts';
import {
  ACTIVE_STATES,
  type Member,
  type Rollout,
  type RolloutApproval,
  type RolloutId,
  type RolloutImage,
  type RolloutSpec,
  type RolloutState,
} from './rollout.ts';
import type { Freeze, RolloutStore } from './rollout-store.ts';
import { selectorMatcher } from './selector.ts';
import { checkWaves } from './waves.ts';

export interface RolloutServiceParts {
  readonly store: RolloutStore;
  readonly machines: Pick<MachineStore, 'list' | 'find'>;
  readonly events: Pick<EventRecorder, 'recordNow'>;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: RandomSource;
  /** What a rollout of this image is about; throws 'invalid-request' where it cannot be rolled out. */
  readonly imageOf: (reference: string) => Promise<RolloutImage>;
  /** Of operators: with one here, each rollout needs the signature of one. */
  readonly operatorKeys: readonly SigningKey[];
  readonly onFailure: (error: unknown, rollout?: RolloutId) => void;
  readonly settings: {
    readonly tickMilliseconds: number;
    readonly offlineSeconds: number;
    readonly allowUnsigned: boolean;
    readonly maxMachines: number;
  };
}

/** A rollout with what is shown of it. */
export interface RolloutView {
  readonly rollout: Rollout;
  readonly members: readonly Member[];
  /** What people call the machines. */
  readonly names: ReadonlyMap<MachineId, string>;
  /** What it waits for; empty where it is at work or has ended. */
  readonly waitingFor: string;
}

/** A change that met a newer one is made again so often. */
const TRIES = 50;

export class RolloutService {
  readonly #parts: RolloutServiceParts;
  /** Decides and applies; to be started and stopped with the server. */
  readonly loop: RolloutLoop;

  constructor(parts: RolloutServiceParts) {
    this.#parts = parts;
    this.loop = new RolloutLoop({ ...parts, onHalted: (rollout) => this.#halted(rollout) });
  }

  /** Throws 'invalid-request'. */
  imageOf(reference: string): Promise<RolloutImage> {
    return this.#parts.imageOf(reference);
  }

  async create(spec: RolloutSpec, by: string): Promise<{ rollout: Rollout; preview: RolloutPreview }> {
    const { clock, store, events } = this.#parts;
    const id = this.#newId();
    const fits = selectorMatcher(spec.selector);
    const views = (await this.loop.views(id)).filter(fits);
    const preview = previewRollout(spec, views);
    const ids = preview.members.map(({ machine }) => machine.id);
    if (ids.length === 0)
      throw new AppError('invalid-request', 'to: no machine fits; `muster machines list` shows the labels there are.');
    checkWaves(spec.waves, ids.length);
    const now = clock.now();
    const rollout: Rollout = {
      ...{ id, spec },
      state: 'draft',
      stateReason: 'waits for approval',
      stateSince: now,
      wave: -1,
      memberCount: ids.length,
      createdAt: now,
      createdBy: by,
      version: 1,
    };
    const members = ids.map((machineId, place): Member => {
      return { rolloutId: id, machineId, place, state: 'waiting', reason: 'its turn has not come', since: now };
    });
    await store.create(rollout, members);
    const { repository, digest } = spec.image;
    await events.recordNow({
      kind: 'rollout-created',
      details: { rollout: id, image: `${repository}@${digest}`, machines: ids.length, by },
    });
    return { rollout, preview };
  }

  list(limit: number): Promise<readonly Rollout[]> {
    return this.#parts.store.list({ limit });
  }

  async show(id: RolloutId): Promise<RolloutView> {
    const rollout = await this.#get(id);
    const world = await this.loop.world(rollout);
    const names = new Map([...world.machines.values()].map((machine) => [machine.id, machine.name]));
    return { rollout, members: world.members, names, waitingFor: waitingFor(world) ?? '' };
  }

  /** What an operator signs. */
  async document(id: RolloutId): Promise<string> {
    return renderRolloutDocument(await this.#get(id));
  }

  /** Base64 of a DER signature over `document(id)`, where operators have keys. */
  async approve(id: RolloutId, { by, signature }: { by: string; signature?: string | undefined }): Promise<Rollout> {
    return this.#move(id, ['draft'], 'running', { reason: 'approved', by }, async (rollout) => {
      const { operatorKeys, settings, clock } = this.#parts;
      const document = renderRolloutDocument(rollout);
      const approval: RolloutApproval = { by, at: clock.now() };
      if (operatorKeys.length === 0) {
        if (!settings.allowUnsigned && (await this.#hasInstalled(id)))
          throw new AppError(
            'invalid-request',
            'upgrades.operatorKeys is empty: installed machines take no rollout that nobody signed. Fix: muster rollouts keygen, ' +
              'name the public key there, or set upgrades.allowUnsigned to true.',
          );
        return { ...rollout, approval };
      }
      if (signature === undefined)
        throw new AppError(
          'invalid-request',
          `rollout ${id} has to be signed by an operator's key. Fix: muster rollouts approve ${id} --key FILE`,
        );
      const bytes = Buffer.from(signature, 'base64');
      if (!operatorKeys.some((key) => key.verifies(Buffer.from(document), bytes)))
        throw new AppError(
          'invalid-request',
          `signature: none of the keys in upgrades.operatorKeys made it (${operatorKeys.map(({ name }) => name).join(', ')}).`,
        );
      return { ...rollout, approval: { ...approval, signed: { document, signature } } };
    });
  }

  pause(id: RolloutId, by: string, note: string): Promise<Rollout> {
    return this.#move(id, ['running'], 'paused', { reason: note, by });
  }

  /** After a halt the failures so far are accepted: the next one that passes a limit halts again. */
  resume(id: RolloutId, by: string, note: string): Promise<Rollout> {
    return this.#move(id, ['paused', 'halted'], 'running', { reason: note, by }, async (rollout) => {
      if (rollout.state !== 'halted') return rollout;
      const failed = (await this.#parts.store.members(id)).filter(({ state }) => state === 'failed');
      return { ...rollout, acceptedFailures: failed.length };
    });
  }

  abort(id: RolloutId, by: string, note: string): Promise<Rollout> {
    return this.#move(id, ['draft', 'running', 'paused', 'halted'], 'aborted', { reason: note, by });
  }

  /** Drafts that lead back to what the machines ran before, one for each image; the rollout itself is ended. */
  async rollback(id: RolloutId, by: string): Promise<readonly Rollout[]> {
    const rollout = await this.#get(id);
    if (rollout.state === 'draft')
      throw new AppError('conflict', `rollout ${id} is a draft: nothing was changed by it.`);
    if (ACTIVE_STATES.includes(rollout.state)) await this.abort(id, by, 'rolled back');
    const groups = new Map<string, Member[]>();
    for (const member of await this.#parts.store.members(id)) {
      if (member.from === undefined || member.state === 'waiting') continue;
      if (member.from.digest === rollout.spec.image.digest) continue;
      const group = groups.get(member.from.digest) ?? [];
      groups.set(member.from.digest, [...group, member]);
    }
    const drafts: Rollout[] = [];
    for (const [, members] of groups) {
      const [first] = members;
      const from = first?.from;
      if (from === undefined) continue;
      const image = await this.#parts.imageOf(`${from.repository}@${from.digest}`);
      const { budgets, maxUnavailable, soakSeconds, deadlineSeconds, subnetBytesPerHour } = rollout.spec;
      const spec: RolloutSpec = {
        ...{ image, budgets, maxUnavailable, soakSeconds, deadlineSeconds },
        ...(subnetBytesPerHour !== undefined && { subnetBytesPerHour }),
        selector: { labels: {}, machines: members.map(({ machineId }) => machineId) },
        waves: [{ kind: 'share', basisPoints: 10_000 }],
        // Machines that fell back by themselves run the image already; none of the others may stop those after it.
        maxFailures: { kind: 'share', basisPoints: 10_000 },
        minimumSample: 0,
        allowDowngrade: true,
        autoRollback: false,
        joiners: 'ignore',
        note: `takes ${id} back`,
      };
      const { rollout: draft } = await this.create(spec, by);
      drafts.push(await this.#mark(draft, id));
    }
    return drafts;
  }

  async pin(machineId: MachineId, by: string, note: string): Promise<void> {
    await this.#parts.store.pin({ machineId, note, by, at: this.#parts.clock.now() });
    await this.#parts.events.recordNow({ kind: 'machine-pinned', machineId, details: { pinned: true, note, by } });
    await this.loop.changed();
  }

  async unpin(machineId: MachineId, by: string): Promise<boolean> {
    if (!(await this.#parts.store.unpin(machineId))) return false;
    await this.#parts.events.recordNow({ kind: 'machine-pinned', machineId, details: { pinned: false, note: '', by } });
    await this.loop.changed();
    return true;
  }

  freezes(): Promise<readonly Freeze[]> {
    return this.#parts.store.freezes(this.#parts.clock.now());
  }

  async freeze(freeze: Omit<Freeze, 'id'>): Promise<Freeze> {
    const made = { ...freeze, id: this.#newId('f') };
    await this.#parts.store.freeze(made);
    const { id, note, by } = made;
    await this.#parts.events.recordNow({ kind: 'fleet-frozen', details: { freeze: id, frozen: true, note, by } });
    return made;
  }

  async thaw(id: string, by: string): Promise<boolean> {
    if (!(await this.#parts.store.thaw(id))) return false;
    await this.#parts.events.recordNow({ kind: 'fleet-frozen', details: { freeze: id, frozen: false, note: '', by } });
    await this.loop.changed();
    return true;
  }

  /** Every rule that holds this machine back, in every rollout that it is in. */
  async why(machineId: MachineId): Promise<readonly { rollout: Rollout; member: Member; holds: readonly Hold[] }[]> {
    const found = await this.#parts.store.activeMembers(machineId);
    return Promise.all(
      found.map(async (member) => {
        const rollout = await this.#get(member.rolloutId);
        return { rollout, member, holds: holdsOf(await this.loop.world(rollout), machineId) };
      }),
    );
  }

  async #move(
    id: RolloutId,
    from: readonly RolloutState[],
    to: RolloutState,
    { reason, by }: { readonly reason: string; readonly by: string },
    alter: (rollout: Rollout) => Promise<Rollout> | Rollout = (rollout) => rollout,
  ): Promise<Rollout> {
    const { store, clock, events } = this.#parts;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const epoch = await store.epoch();
      const rollout = await this.#get(id);
      if (!from.includes(rollout.state))
        throw new AppError('conflict', `rollout ${id} is ${rollout.state}: it cannot become ${to} from there.`);
      const now = clock.now();
      const moved = { ...(await alter(rollout)), state: to, stateReason: reason, stateSince: now };
      const applied = await store.apply({ rollout: moved, members: [] }, epoch);
      if (applied.kind === 'stale') continue;
      await events.recordNow({
        kind: 'rollout-state',
        details: { rollout: id, from: rollout.state, to, reason, by },
      });
      await this.loop.changed(id);
      // Whom an abort calls back, and who begins, is decided where everything else is.
      if (to === 'aborted' || to === 'running') await this.loop.work(id);
      return this.#get(id);
    }
    throw new AppError('conflict', `rollout ${id} changes too fast: try again.`);
  }

  async #halted(rollout: Rollout): Promise<void> {
    if (!rollout.spec.autoRollback) return;
    const drafts = await this.rollback(rollout.id, 'auto-rollback');
    // Where operators have keys the drafts wait for a signature: nobody here has one.
    if (this.#parts.operatorKeys.length > 0) return;
    for (const { id } of drafts) await this.approve(id, { by: 'auto-rollback' });
  }

  async #mark(draft: Rollout, rollbackOf: RolloutId): Promise<Rollout> {
    const outcome = await this.#parts.store.apply(
      { rollout: { ...draft, rollbackOf }, members: [] },
      await this.#parts.store.epoch(),
    );
    return outcome.kind === 'applied' ? outcome.rollout : draft;
  }

  async #get(id: RolloutId): Promise<Rollout> {
    const rollout = await this.#parts.store.find(id);
    if (rollout === undefined) throw new AppError('not-found', `there is no rollout ${id}`);
    return rollout;
  }

  async #hasInstalled(id: RolloutId): Promise<boolean> {
    const ids = new Set((await this.#parts.store.members(id)).map(({ machineId }) => machineId));
    return (await this.loop.views(id)).some((machine) => machine.installed && ids.has(machine.id));
  }

  #newId(prefix = 'r'): RolloutId {
    return `${prefix}-${Buffer.from(this.#parts.random.bytes(5)).toString('hex')}` as RolloutId;
  }
}
