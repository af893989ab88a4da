// The one place where machines come to be and change their state. Every step goes through `nextState` and is an event.
import { planBoot, type BootPlan } from '../boot/plan-boot.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import type { Clock, RandomSource } from '../clock.ts';
import type { EventRecorder } from '../events/event-recorder.ts';
import type { ImageCatalogue } from '../images/image-catalogue.ts';
import { parseMacAddress, type MacAddress } from '../protocol/mac-address.ts';
import { nextState, type Machine, type MachineId, type MachineTrigger, type RunningImage } from './machine.ts';
import type { MachineStore } from './machine-store.ts';
import type { Candidate } from './match-profile.ts';
import type { Profile } from './profile.ts';
import type { SightingRecorder } from './sighting-recorder.ts';
import { factsOf, type MachineConfig, type ProfileService } from './profile-service.ts';

/** A save that met a newer version is tried again so often. */
const SAVE_TRIES = 5;
/** A machine that asks again within this time, and says nothing new, is not written again. */
const SEEN_AGAIN_MS = 30_000;

/** What the wire tells of a machine that wants to boot. */
export interface Observation {
  readonly mac: MacAddress;
  readonly uuid?: string;
  readonly architecture: string;
  readonly address?: string;
}

/** What an agent says of the configuration it applied. */
export interface AgentReport {
  /** The word of `cloud-init status`. */
  readonly cloudInit: string;
  readonly detail?: string;
  readonly configDigest?: string;
  readonly hostname?: string;
  /** Lower-case hex; without `sha256` the file is not there. */
  readonly files: readonly { readonly path: string; readonly sha256?: string }[];
}

/** A machine, or why there is none to speak of. */
export type MachineOutcome =
  | { readonly kind: 'machine'; readonly machine: Machine }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly message: string };

/** Which profile a machine gets, why the others not, and what it would boot now. */
export type Explanation =
  | {
      readonly kind: 'explained';
      readonly machine?: Machine;
      readonly winner?: string;
      readonly candidates: readonly Candidate[];
      readonly plan: { readonly kind: string; readonly reason: string };
    }
  | Extract<MachineOutcome, { kind: 'refused' }>;

export interface MachineServiceParts {
  readonly store: MachineStore;
  readonly images: Pick<ImageCatalogue, 'resolve'>;
  readonly sightings: SightingRecorder;
  readonly profiles: ProfileService;
  readonly events: EventRecorder;
  /** NAME@DIGEST that a rollout gave a machine in the place of its profile's image. */
  readonly assignedImage?: (machine: Machine) => string | undefined;
  /** How often in a row a machine's disk did not boot. */
  readonly diskFailures?: (machine: Machine) => number;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly settings: { readonly unknownMachines: 'discover' | 'enroll'; readonly maxMachines: number };
}

export class MachineService {
  readonly #store: MachineStore;
  readonly #images: Pick<ImageCatalogue, 'resolve'>;
  readonly #sightings: SightingRecorder;
  readonly #profiles: ProfileService;
  readonly #events: EventRecorder;
  readonly #assignedImage: (machine: Machine) => string | undefined;
  readonly #diskFailures: (machine: Machine) => number;
  readonly #clock: Clock;
  readonly #random: RandomSource;
  readonly #settings: MachineServiceParts['settings'];

  constructor(parts: MachineServiceParts) {
    this.#store = parts.store;
    this.#images = parts.images;
    this.#sightings = parts.sightings;
    this.#profiles = parts.profiles;
    this.#events = parts.events;
    this.#assignedImage = parts.assignedImage ?? (() => undefined);
    this.#diskFailures = parts.diskFailures ?? (() => 0);
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#settings = parts.settings;
  }

  /** The machine that asked to boot: known, or discovered now; undefined when the limit on machines is reached. */
  async observe(seen: Observation): Promise<Machine | undefined> {
    const known = await this.#store.findByMac(seen.mac);
    if (known !== undefined) {
      return this.#approveByPolicy(this.#tellsNothingNew(known, seen) ? known : await this.#seenAgain(known, seen));
    }
    if ((await this.#store.count()) >= this.#settings.maxMachines) return undefined;
    const now = this.#clock.now();
    const { machine } = await this.#store.insert({
      id: this.newMachineId(),
      macs: [seen.mac],
      ...(seen.uuid === undefined ? {} : { uuid: seen.uuid }),
      architecture: seen.architecture,
      ...(seen.address === undefined ? {} : { address: seen.address }),
      state: 'discovered',
      stateReason: 'first seen on the network',
      stateSince: now,
      labels: {},
      facts: {},
      createdAt: now,
      lastSeenAt: now,
      version: 1,
    });
    await this.#events.recordNow({
      kind: 'machine-discovered',
      machineId: machine.id,
      mac: seen.mac,
      details: {
        architecture: seen.architecture,
        ...(seen.address === undefined ? {} : { address: seen.address }),
      },
    });
    return this.#approveByPolicy(machine);
  }

  newMachineId(): MachineId {
    return `m-${Buffer.from(this.#random.bytes(8)).toString('hex')}` as MachineId;
  }

  list(options: { readonly limit: number; readonly state?: Machine['state'] }): Promise<readonly Machine[]> {
    return this.#store.list(options);
  }

  /** A machine by id, unique start of an id, MAC in any spelling, or host name. */
  async resolve(ref: string): Promise<MachineOutcome> {
    const byId = await this.#store.find(ref as MachineId);
    if (byId !== undefined) return { kind: 'machine', machine: byId };
    const mac = parseMacAddress(ref);
    const byMac = mac === undefined ? undefined : await this.#store.findByMac(mac);
    if (byMac !== undefined) return { kind: 'machine', machine: byMac };
    const all = await this.#store.list({ limit: this.#settings.maxMachines });
    const matches = all.filter(({ id, hostname }) => hostname === ref || (ref.length >= 4 && id.startsWith(ref)));
    const [only, other] = matches;
    if (only === undefined)
      return refused('not-found', `there is no machine ${ref}: give an id, a MAC address or a host name`);
    if (other === undefined) return { kind: 'machine', machine: only };
    return refused('conflict', `${ref} fits ${matches.length} machines: ${matches.map(({ id }) => id).join(', ')}`);
  }

  async approve(ref: string, by: string): Promise<MachineOutcome> {
    const found = await this.resolve(ref);
    if (found.kind === 'refused' || nextState(found.machine.state, 'approve') === undefined) return found;
    return { kind: 'machine', machine: await this.#trigger(found.machine.id, 'approve', 'approved', by) };
  }

  async retire(ref: string, by: string): Promise<MachineOutcome> {
    const found = await this.resolve(ref);
    if (found.kind === 'refused' || found.machine.state === 'retired') return found;
    return { kind: 'machine', machine: await this.#trigger(found.machine.id, 'retire', 'retired', by) };
  }

  /** What a machine on record shall do when it boots now. */
  async plan(machine: Machine): Promise<BootPlan> {
    const profile = this.#profiles.profileOf(machine);
    const assigned = this.#assignedImage(machine);
    const image = profile === undefined ? undefined : await this.#images.resolve(assigned ?? profile.boot.image);
    return planBoot(machine, profile, image, { assigned, diskFailures: this.#diskFailures(machine) });
  }

  /** Also for a MAC address that was never seen: what it would get. */
  async explain(ref: string): Promise<Explanation> {
    const found = await this.resolve(ref);
    if (found.kind === 'machine') {
      const { machine } = found;
      const { winner, candidates } = this.#profiles.match(factsOf(machine));
      const { kind, reason } = await this.plan(machine);
      return { kind: 'explained', machine, ...winnerName(winner), candidates, plan: { kind, reason } };
    }
    const mac = parseMacAddress(ref);
    if (mac === undefined) return found;
    const { winner, candidates } = this.#profiles.match({ macs: [mac], labels: {} });
    const plan = { kind: 'unknown', reason: 'this machine was never seen: its MAC address is all that is known' };
    return { kind: 'explained', ...winnerName(winner), candidates, plan };
  }

  /** Remembers what the machine is being booted with; the state stays, since nothing was proved yet. */
  async bootPlanned(id: MachineId, planned: { readonly profile: string; readonly image: string }): Promise<void> {
    await this.#change(id, (machine) => ({ ...machine, ...planned }));
  }

  /** The configuration that this machine is to have now. */
  configOf(machine: Machine): MachineConfig {
    return this.#profiles.configOf(machine, this.#profiles.profileOf(machine));
  }

  /** Holds the agent's report against what was served; only a full match configures the machine. */
  async configReported(id: MachineId, report: AgentReport): Promise<Machine> {
    const machine = await this.get(id);
    if (report.cloudInit === 'running') return machine;
    const wanted = this.configOf(machine);
    // The config was changed after this machine booted: it goes on with the one it has until it boots again.
    if (machine.state === 'active' && report.cloudInit === 'done' && report.configDigest !== wanted.digest)
      return machine;
    const reason = whyNotApplied(report, wanted);
    if (reason !== undefined) {
      await this.#events.recordNow({
        kind: 'config-failed',
        machineId: id,
        details: { digest: report.configDigest ?? 'none', reason },
      });
      return this.#trigger(id, 'fail', reason, 'agent');
    }
    if (machine.state === 'active' && machine.configDigest === wanted.digest) return machine;
    const { hostname } = wanted;
    await this.#events.recordNow({
      kind: 'config-applied',
      machineId: id,
      details: { digest: wanted.digest, hostname, cloudInit: report.cloudInit },
    });
    return this.#trigger(id, 'configure', 'the config was applied', 'agent', (before) => ({
      ...before,
      configDigest: wanted.digest,
      hostname,
    }));
  }

  profileOf(machine: Machine): Profile | undefined {
    return this.#profiles.profileOf(machine);
  }

  /** What the machine says that it runs: saved, and an event, where that is news. */
  async runs(id: MachineId, said: Omit<RunningImage, 'since'>): Promise<Machine> {
    const machine = await this.get(id);
    if (isSameRun(machine.running, said) && (said.source === 'network' || machine.installedAt !== undefined))
      return machine;
    const now = this.#clock.now();
    const installed = said.source === 'disk' ? { installedAt: machine.installedAt ?? now } : {};
    const saved = await this.#change(id, (before) => ({ ...before, ...installed, running: { ...said, since: now } }));
    const { image, source, slot, slotState } = said;
    await this.#events.recordNow({
      kind: 'machine-booted',
      machineId: id,
      details: { image, source, ...(slot !== undefined && { slot }), ...(slotState !== undefined && { slotState }) },
    });
    return saved;
  }

  /** Its disk is whole: from now on it is sent there. */
  async installed(id: MachineId): Promise<Machine> {
    const machine = await this.get(id);
    if (machine.installedAt !== undefined) return machine;
    const now = this.#clock.now();
    const saved = await this.#change(id, (before) => ({ ...before, installedAt: before.installedAt ?? now }));
    await this.#events.recordNow({ kind: 'machine-installed', machineId: id, details: {} });
    return saved;
  }

  /** Forgets the installation: the machine netboots at its next start, and is installed anew. */
  async reinstall(ref: string, by: string): Promise<MachineOutcome> {
    const found = await this.resolve(ref);
    if (found.kind === 'refused' || found.machine.installedAt === undefined) return found;
    const machine = await this.#change(found.machine.id, ({ installedAt: _forgotten, ...before }) => before);
    await this.#events.recordNow({ kind: 'machine-reinstall', machineId: machine.id, details: { by } });
    return { kind: 'machine', machine };
  }

  /** A sign of life; the first one after the config was applied makes the machine active. */
  async heartbeat(id: MachineId): Promise<Machine> {
    const machine = await this.get(id);
    if (machine.state === 'configured')
      return this.#trigger(id, 'report-healthy', 'configured, and its agent reports', 'agent');
    return { ...machine, lastSeenAt: this.#sightings.saw(id) };
  }

  /** A save is a synced write, and a boot is a dozen packets. */
  #tellsNothingNew(known: Machine, seen: Observation): boolean {
    return (
      known.architecture === seen.architecture &&
      (seen.uuid === undefined || known.uuid !== undefined) &&
      (seen.address === undefined || seen.address === known.address) &&
      this.#clock.now() - known.lastSeenAt < SEEN_AGAIN_MS
    );
  }

  #seenAgain(known: Machine, seen: Observation): Promise<Machine> {
    return this.#change(known.id, (machine) => ({
      ...machine,
      architecture: seen.architecture,
      ...(machine.uuid === undefined && seen.uuid !== undefined ? { uuid: seen.uuid } : {}),
      ...(seen.address === undefined ? {} : { address: seen.address }),
      lastSeenAt: this.#clock.now(),
    }));
  }

  async #approveByPolicy(machine: Machine): Promise<Machine> {
    if (machine.state !== 'discovered') return machine;
    const profile = this.#profiles.match(factsOf(machine)).winner;
    const automatic =
      profile?.enrollment === undefined
        ? this.#settings.unknownMachines === 'enroll'
        : profile.enrollment === 'automatic';
    if (!automatic) return machine;
    const by = profile?.enrollment === undefined ? 'default policy' : `profile ${profile.name}`;
    return this.#trigger(machine.id, 'approve', 'may join without approval', by);
  }

  /** Throws `not-found`. */
  async get(id: MachineId): Promise<Machine> {
    const machine = await this.#store.find(id);
    if (machine === undefined) throw new AppError('not-found', `no machine ${id}`);
    return machine;
  }

  async #trigger(
    id: MachineId,
    trigger: MachineTrigger,
    reason: string,
    by: string,
    alter: (machine: Machine) => Machine = (machine) => machine,
  ): Promise<Machine> {
    let from: Machine['state'] | undefined;
    const saved = await this.#change(id, (machine) => {
      const state = nextState(machine.state, trigger);
      if (state === undefined)
        throw new AppError('conflict', `machine ${id} is ${machine.state}: ${trigger} is not possible in that state`);
      from = machine.state;
      const now = this.#clock.now();
      const changed = state === machine.state ? {} : { state, stateSince: now };
      return {
        ...alter(machine),
        ...changed,
        stateReason: reason,
        lastSeenAt: by === 'agent' ? now : machine.lastSeenAt,
      };
    });
    if (from !== undefined && from !== saved.state)
      await this.#events.recordNow({
        kind: 'machine-state',
        machineId: id,
        details: { from, to: saved.state, reason, by },
      });
    return saved;
  }

  async #change(id: MachineId, alter: (machine: Machine) => Machine): Promise<Machine> {
    for (let tries = 0; tries < SAVE_TRIES; tries += 1) {
      const outcome = await this.#store.save(alter(await this.get(id)));
      if (outcome.kind === 'saved') return outcome.machine;
    }
    throw new AppError('conflict', `machine ${id} is being changed by others; try again`);
  }
}

function refused(code: ErrorCode, message: string): Extract<MachineOutcome, { kind: 'refused' }> {
  return { kind: 'refused', code, message };
}

function winnerName(winner: { readonly name: string } | undefined): { readonly winner?: string } {
  return winner === undefined ? {} : { winner: winner.name };
}

function whyNotApplied(report: AgentReport, wanted: MachineConfig): string | undefined {
  if (report.cloudInit !== 'done') return `cloud-init says ${report.cloudInit}${suffix(report.detail)}`;
  if (report.configDigest !== wanted.digest) return 'the machine applied another version of the config';
  if (report.hostname !== wanted.hostname)
    return `the host name is ${report.hostname ?? 'not known'}, wanted ${wanted.hostname}`;
  const seen = new Map(report.files.map(({ path, sha256 }) => [path, sha256]));
  const wrong = wanted.expectedFiles.find(({ path, sha256 }) => seen.get(path) !== sha256);
  if (wrong === undefined) return undefined;
  return `${wrong.path} ${seen.get(wrong.path) === undefined ? 'is not there' : 'has other content'}`;
}

function suffix(detail: string | undefined): string {
  return detail === undefined || detail === '' ? '' : `: ${detail.slice(0, 300)}`;
}

function isSameRun(known: RunningImage | undefined, said: Omit<RunningImage, 'since'>): boolean {
  return (
    known?.bootId === said.bootId &&
    known.image === said.image &&
    known.source === said.source &&
    known.slot === said.slot &&
    known.slotState === said.slotState
  );
}
