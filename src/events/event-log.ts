// PORT. The record of what happened. Adapters: storage/sql, storage/memory; both pass test/contract/event-log.
import type { MachineId } from '../machines/machine.ts';
import type { BootSessionId } from '../boot-sessions/boot-session.ts';
import type { MacAddress } from '../protocol/mac-address.ts';
import type { BootEvent, BootEventKind, NewBootEvent } from './boot-event.ts';

export interface EventQuery {
  readonly machineId?: MachineId;
  readonly mac?: MacAddress;
  readonly sessionId?: BootSessionId;
  readonly kind?: BootEventKind;
  /** Only events with seq greater than this. */
  readonly afterSeq?: number;
  /** At most so many; the newest ones when `afterSeq` is absent. Answers are in rising order of seq. */
  readonly limit: number;
}

export interface EventLog {
  /** Writes all of them in one transaction, in order; resolves when they are on record. */
  append(events: readonly { readonly at: number; readonly event: NewBootEvent }[]): Promise<readonly BootEvent[]>;
  query(query: EventQuery): Promise<readonly BootEvent[]>;
  /** Removes all but the newest `keep` events; returns how many went. */
  prune(keep: number): Promise<number>;
}
