// What an agent asks and reports, once its certificate said which machine it is.
import type { DiskBootWatch } from '../boot-sessions/disk-boot-watch.ts';
import type { EventRecorder } from '../events/event-recorder.ts';
import type { AgentBeat, OrderReport } from './agent-beat.ts';
import type { Machine, MachineId, MachineState } from './machine.ts';
import type { AgentReport, MachineService } from './machine-service.ts';

/** What the agent should be doing. */
export interface DesiredState {
  readonly heartbeatSeconds: number;
  readonly configDigest: string;
  readonly hostname: string;
  /** Paths whose SHA-256 the agent sends back, so that "applied" is seen and not believed. */
  readonly checkFiles: readonly string[];
  /** The order that it shall fetch, unless it is done with it. */
  readonly orderId?: string;
}

/** PORT. What machines are told to take. Implementation: rollouts/agent-orders.ts. */
export interface Orders {
  /** Cheap: asked at every heartbeat. */
  idFor(machine: Machine): string | undefined;
  /** The order as lines of text; undefined where there is none. `serverHost`: what the agent called this server by. */
  render(machine: Machine, serverHost: string): Promise<string | undefined>;
}

/** PORT. Who wants to know what machines run. Implementation: rollouts/rollout-service.ts. */
export interface BeatObserver {
  observe(machineId: MachineId, beat: AgentBeat): void;
}

export interface AgentServiceParts {
  readonly machines: MachineService;
  readonly events: EventRecorder;
  readonly orders: Orders;
  readonly rollouts: BeatObserver;
  readonly diskBoots: Pick<DiskBootWatch, 'heard'>;
  readonly settings: { readonly heartbeatSeconds: number };
}

/** So many machines' last words are remembered, to record a change once. */
const REMEMBERED = 100_000;

export class AgentService {
  readonly #parts: AgentServiceParts;
  /** What each machine said last of its order and of its fallback, as one text. */
  readonly #said = new Map<MachineId, string>();

  constructor(parts: AgentServiceParts) {
    this.#parts = parts;
  }

  desired(machine: Machine): DesiredState {
    const { digest, hostname, expectedFiles } = this.#parts.machines.configOf(machine);
    const orderId = this.#parts.orders.idFor(machine);
    return {
      heartbeatSeconds: this.#parts.settings.heartbeatSeconds,
      configDigest: digest,
      hostname,
      checkFiles: expectedFiles.map(({ path }) => path),
      ...(orderId !== undefined && { orderId }),
    };
  }

  /** Undefined where there is nothing to do. */
  order(machine: Machine, serverHost: string): Promise<string | undefined> {
    return this.#parts.orders.render(machine, serverHost);
  }

  /** The cloud-config as text; recorded, since from here on the machine can act on it. */
  config(machine: Machine): { readonly body: string; readonly digest: string } {
    const { userData, digest } = this.#parts.machines.configOf(machine);
    this.#parts.events.record({ kind: 'config-served', machineId: machine.id, details: { digest } });
    return { body: userData, digest };
  }

  async report(machine: Machine, report: AgentReport): Promise<MachineState> {
    return (await this.#parts.machines.configReported(machine.id, report)).state;
  }

  async heartbeat(machine: Machine, beat: AgentBeat): Promise<Machine> {
    const { machines, diskBoots } = this.#parts;
    diskBoots.heard(machine.id);
    if (beat.running !== undefined) await machines.runs(machine.id, beat.running);
    const { failedImage } = beat;
    if (failedImage !== undefined && this.#isNews(machine.id, `${failedImage.digest} ${failedImage.reason}`))
      await this.#parts.events.recordNow({
        kind: 'slot-fallback',
        machineId: machine.id,
        details: { image: failedImage.digest, reason: failedImage.reason },
      });
    const after = await machines.heartbeat(machine.id);
    this.#parts.rollouts.observe(machine.id, beat);
    return after;
  }

  /** Between heartbeats, while it works on an order. */
  async progress(machine: Machine, order: OrderReport): Promise<void> {
    const { id, phase, reason } = order;
    if (this.#isNews(machine.id, `${id} ${phase} ${reason ?? ''}`))
      this.#parts.events.record({
        kind: 'order-progress',
        machineId: machine.id,
        details: { order: id, phase, ...(reason !== undefined && { detail: reason }) },
      });
    if (phase === 'installed') await this.#parts.machines.installed(machine.id);
    this.#parts.rollouts.observe(machine.id, { order });
  }

  message(machine: Machine, level: 'info' | 'warn' | 'error', message: string): void {
    this.#parts.events.record({ kind: 'agent-message', machineId: machine.id, details: { level, message } });
  }

  #isNews(id: MachineId, word: string): boolean {
    if (this.#said.get(id) === word) return false;
    this.#said.delete(id);
    this.#said.set(id, word);
    for (const oldest of this.#said.keys()) {
      if (this.#said.size <= REMEMBERED) break;
      this.#said.delete(oldest);
    }
    return true;
  }
}
