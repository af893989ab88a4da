// What an agent asks and reports, once its certificate said which machine it is.
import type { EventRecorder } from '../events/event-recorder.ts';
import type { Machine, MachineState } from './machine.ts';
import type { AgentReport, MachineService } from './machine-service.ts';

/** What the agent should be doing. */
export interface DesiredState {
  readonly heartbeatSeconds: number;
  readonly configDigest: string;
  readonly hostname: string;
  /** Paths whose SHA-256 the agent sends back, so that "applied" is seen and not believed. */
  readonly checkFiles: readonly string[];
}

export class AgentService {
  readonly #machines: MachineService;
  readonly #events: EventRecorder;
  readonly #heartbeatSeconds: number;

  constructor(parts: {
    machines: MachineService;
    events: EventRecorder;
    settings: { readonly heartbeatSeconds: number };
  }) {
    this.#machines = parts.machines;
    this.#events = parts.events;
    this.#heartbeatSeconds = parts.settings.heartbeatSeconds;
  }

  desired(machine: Machine): DesiredState {
    const { digest, hostname, expectedFiles } = this.#machines.configOf(machine);
    return {
      heartbeatSeconds: this.#heartbeatSeconds,
      configDigest: digest,
      hostname,
      checkFiles: expectedFiles.map(({ path }) => path),
    };
  }

  /** The cloud-config as text; recorded, since from here on the machine can act on it. */
  config(machine: Machine): { readonly body: string; readonly digest: string } {
    const { userData, digest } = this.#machines.configOf(machine);
    this.#events.record({ kind: 'config-served', machineId: machine.id, details: { digest } });
    return { body: userData, digest };
  }

  async report(machine: Machine, report: AgentReport): Promise<MachineState> {
    return (await this.#machines.configReported(machine.id, report)).state;
  }

  heartbeat(machine: Machine): Promise<Machine> {
    return this.#machines.heartbeat(machine.id);
  }

  message(machine: Machine, level: 'info' | 'warn' | 'error', message: string): void {
    this.#events.record({ kind: 'agent-message', machineId: machine.id, details: { level, message } });
  }
}
