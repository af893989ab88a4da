// The one place where machines come to be and change their state. Every step goes through `nextState` and is an event.
import { AppError } from '../errors.ts';
import type { Clock, RandomSource } from '../clock.ts';
import type { EventRecorder } from '../events/event-recorder.ts';
import { parseMacAddress, type MacAddress } from '../protocol/mac-address.ts';
import { nextState, type Machine, type MachineId, type MachineTrigger } from './machine.ts';
import type { MachineStore } from './machine-store.ts';
import { factsOf, type MachineConfig, type ProfileService } from './profile-service.ts';

/** A save that met a newer version is tried again so often. */
const SAVE_TRIES = 5;

/** What the wire tells of a machine that wants to boot. */
export interface Observation {
  readonly mac: MacAddress;
  readonly uuid?: string;
  readonly architecture: string;
  readonly address?: string;
}

/** What an agent says of the configuration it applied. */
export interface ConfigReport {
  readonly cloudInit: string;
  readonly cloudInitDetail?: string;
  readonly configDigest: string;
  readonly hostname: string;
  /** SHA-256 (lower-case hex) by path; undefined where the file is not there. */
  readonly files: ReadonlyMap<string, string | undefined>;
}

export interface MachineServiceParts {
  readonly store: MachineStore;
  readonly profiles: ProfileService;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly settings: { readonly unknownMachines: 'discover' | 'enroll'; readonly maxMachines: number };
}

export class MachineService {
  readonly #store: MachineStore;
  readonly #profiles: ProfileService;
  readonly #events: EventRecorder;
  readonly #clock: Clock;
  readonly #random: RandomSource;
  readonly #settings: MachineServiceParts['settings'];

  constructor(parts: MachineServiceParts) {
    this.#store = parts.store;
    this.#profiles = parts.profiles;
    this.#events = parts.events;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#settings = parts.settings;
  }

  /** The machine that asked to boot: known, or discovered now; undefined when the limit on machines is reached. */
  async observe(seen: Observation): Promise<Machine | undefined> {
    const known = await this.#store.findByMac(seen.mac);
    if (known !== undefined) {
      const saved = await this.#change(known.id, (machine) => ({
        ...machine,
        architecture: seen.architecture,
        ...(machine.uuid === undefined && seen.uuid !== undefined ? { uuid: seen.uuid } : {}),
        ...(seen.address === undefined ? {} : { address: seen.address }),
        lastSeenAt: this.#clock.now(),
      }));
      return this.#approveByPolicy(saved);
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
  async resolve(ref: string): Promise<Machine> {
    const byId = await this.#store.find(ref as MachineId);
    if (byId !== undefined) return byId;
    const mac = parseMacAddress(ref);
    const byMac = mac === undefined ? undefined : await this.#store.findByMac(mac);
    if (byMac !== undefined) return byMac;
    const all = await this.#store.list({ limit: this.#settings.maxMachines });
    const matches = all.filter(({ id, hostname }) => hostname === ref || (ref.length >= 4 && id.startsWith(ref)));
    const [only, other] = matches;
    if (only === undefined)
      throw new AppError(
        'not-found',
        `no machine ${ref}: give an id, a MAC address or a host name from "muster machines list"`,
      );
    if (other !== undefined)
      throw new AppError(
        'conflict',
        `${ref} fits ${matches.length} machines: ${matches.map(({ id }) => id).join(', ')}`,
      );
    return only;
  }

  async approve(ref: string, by: string): Promise<Machine> {
    const machine = await this.resolve(ref);
    if (machine.state !== 'discovered' && machine.state !== 'retired') return machine;
    return this.#trigger(machine.id, 'approve', 'approved', by);
  }

  async retire(ref: string, by: string): Promise<Machine> {
    const machine = await this.resolve(ref);
    if (machine.state === 'retired') return machine;
    return this.#trigger(machine.id, 'retire', 'retired', by);
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
  async configReported(id: MachineId, report: ConfigReport): Promise<Machine> {
    const machine = await this.#find(id);
    if (report.cloudInit === 'running') return machine;
    const wanted = this.configOf(machine);
    const reason = whyNotApplied(report, wanted);
    if (reason !== undefined) {
      await this.#events.recordNow({
        kind: 'config-failed',
        machineId: id,
        details: { digest: report.configDigest, reason },
      });
      return this.#trigger(id, 'fail', reason, 'agent');
    }
    if (machine.state === 'active' && machine.configDigest === wanted.digest) return machine;
    await this.#events.recordNow({
      kind: 'config-applied',
      machineId: id,
      details: { digest: wanted.digest, hostname: report.hostname, cloudInit: report.cloudInit },
    });
    return this.#trigger(id, 'configure', 'the config was applied', 'agent', (before) => ({
      ...before,
      configDigest: wanted.digest,
      hostname: report.hostname,
    }));
  }

  /** A sign of life; the first one after the config was applied makes the machine active. */
  async heartbeat(id: MachineId, address: string): Promise<Machine> {
    const machine = await this.#find(id);
    if (machine.state === 'configured')
      return this.#trigger(id, 'report-healthy', 'configured, and its agent reports', 'agent');
    return this.#change(id, (before) => ({ ...before, lastSeenAt: this.#clock.now(), address }));
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

  async #find(id: MachineId): Promise<Machine> {
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
      const outcome = await this.#store.save(alter(await this.#find(id)));
      if (outcome.kind === 'saved') return outcome.machine;
    }
    throw new AppError('conflict', `machine ${id} is being changed by others; try again`);
  }
}

function whyNotApplied(report: ConfigReport, wanted: MachineConfig): string | undefined {
  if (report.cloudInit !== 'done') return `cloud-init says ${report.cloudInit}${suffix(report.cloudInitDetail)}`;
  if (report.configDigest !== wanted.digest) return 'the machine applied another version of the config';
  if (wanted.hostname !== '' && report.hostname !== wanted.hostname)
    return `the host name is ${report.hostname}, wanted ${wanted.hostname}`;
  const wrong = wanted.expectedFiles.find(({ path, sha256 }) => report.files.get(path) !== sha256);
  if (wrong === undefined) return undefined;
  return `${wrong.path} ${report.files.get(wrong.path) === undefined ? 'is not there' : 'has other content'}`;
}

function suffix(detail: string | undefined): string {
  return detail === undefined || detail === '' ? '' : `: ${detail.slice(0, 300)}`;
}
