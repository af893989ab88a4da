// Remembers which machines were sent to their disk and not heard of since: one that asks the network again came back from a disk
// that did not boot. In memory alone: after a restart of the server the count begins anew.
import type { Clock } from '../clock.ts';
import type { Machine, MachineId } from '../machines/machine.ts';

/** A machine that comes back later was switched off meanwhile. */
const SAME_TRY_MS = 15 * 60_000;
/** So many machines are remembered; the one sent first is forgotten first. */
const WATCHED = 100_000;

interface Sent {
  readonly at: number;
  /** Of the firmware's request. */
  readonly architecture: string | undefined;
  readonly failures: number;
}

type Watched = Pick<Machine, 'id' | 'architecture'>;

export class DiskBootWatch {
  readonly #clock: Clock;
  readonly #sent = new Map<MachineId, Sent>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How often in a row its disk did not boot, with this request counted. */
  failuresOf(machine: Watched): number {
    const last = this.#last(machine);
    return last === undefined ? 0 : last.failures + 1;
  }

  /** It is sent to its disk now. Seconds since the last time where it came back from there unheard. */
  sentToDisk(machine: Watched): number | undefined {
    const { id, architecture } = machine;
    const [last, failures, now] = [this.#last(machine), this.failuresOf(machine), this.#clock.now()];
    this.#sent.delete(id);
    this.#sent.set(id, { at: now, architecture, failures });
    for (const oldest of this.#sent.keys()) {
      if (this.#sent.size <= WATCHED) break;
      this.#sent.delete(oldest);
    }
    return last && Math.round((now - last.at) / 1000);
  }

  /** Its agent spoke: whatever it runs, it runs. */
  heard(id: MachineId): void {
    this.#sent.delete(id);
  }

  /** A request by another way of booting comes from the next network option of the same start: the disk comes after it. */
  #last({ id, architecture }: Watched): Sent | undefined {
    const last = this.#sent.get(id);
    if (last === undefined || this.#clock.now() - last.at > SAME_TRY_MS) return undefined;
    return last.architecture === architecture ? last : undefined;
  }
}
