// Machines as rollouts see them: what is on record, and what their agents said last. The words of agents are kept in memory: each
// heartbeat says them again, also after a restart of the server.
import { parseImageReference } from '../images/image-reference.ts';
import type { AgentBeat, OrderReport } from '../machines/agent-beat.ts';
import type { Machine, MachineId } from '../machines/machine.ts';
import type { MachineView } from './rollout-world.ts';
import type { RolloutId } from './rollout.ts';

interface Words {
  readonly order?: OrderReport & { readonly at: number };
  readonly failedImage?: NonNullable<AgentBeat['failedImage']>;
  /** Everything that a rollout could care about, as one text. */
  readonly digest: string;
}

export class MachineWords {
  readonly #words = new Map<MachineId, Words>();

  /** Whether the machine said something new. */
  take(id: MachineId, beat: AgentBeat, at: number): boolean {
    const before = this.#words.get(id);
    const order = beat.order === undefined ? before?.order : { ...beat.order, at };
    const failedImage = beat.running === undefined ? before?.failedImage : beat.failedImage;
    const digest = digestOf(beat, order, failedImage, before);
    this.#words.set(id, {
      digest,
      ...(order !== undefined && { order }),
      ...(failedImage !== undefined && { failedImage }),
    });
    return digest !== before?.digest;
  }

  viewOf(machine: Machine, rollout: RolloutId): MachineView {
    const { id, state, labels, address, lastSeenAt, running, hostname, macs, installedAt, image } = machine;
    const words = this.#words.get(id);
    const report = words?.order?.id === rollout ? words.order : undefined;
    const repository = image === undefined ? undefined : parseImageReference(image)?.name;
    return {
      ...{ id, state, labels, lastSeenAt },
      name: hostname ?? macs[0] ?? id,
      installed: installedAt !== undefined,
      ...(address !== undefined && { address }),
      ...(running !== undefined && { running: { ...running, ...(repository !== undefined && { repository }) } }),
      ...(report !== undefined && {
        report: {
          phase: report.phase,
          at: report.at,
          ...(report.doneBytes !== undefined && { doneBytes: report.doneBytes }),
          ...(report.reason !== undefined && { reason: report.reason }),
        },
      }),
      ...(words?.failedImage !== undefined && { failedImage: words.failedImage }),
    };
  }
}

function digestOf(
  { running }: AgentBeat,
  order: OrderReport | undefined,
  failedImage: AgentBeat['failedImage'],
  before: Words | undefined,
): string {
  const [runs = ''] = running === undefined ? (before?.digest.split('\n') ?? []) : [JSON.stringify(running)];
  const works = order && [order.id, order.phase, order.doneBytes, order.reason];
  return [runs, JSON.stringify(works), JSON.stringify(failedImage)].join('\n');
}
