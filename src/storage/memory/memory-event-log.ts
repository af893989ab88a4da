// The event log in memory: for tests and for trying things out.
import type { BootEvent, NewBootEvent } from '../../events/boot-event.ts';
import type { EventLog, EventQuery } from '../../events/event-log.ts';

export class MemoryEventLog implements EventLog {
  #events: BootEvent[] = [];
  #lastSeq = 0;

  append(events: readonly { readonly at: number; readonly event: NewBootEvent }[]): Promise<readonly BootEvent[]> {
    const stored = events.map(({ at, event }) => ({ ...event, seq: ++this.#lastSeq, at }));
    this.#events.push(...stored);
    return Promise.resolve(stored);
  }

  query(query: EventQuery): Promise<readonly BootEvent[]> {
    const found = this.#events.filter(
      (event) =>
        (query.machineId === undefined || event.machineId === query.machineId) &&
        (query.mac === undefined || event.mac === query.mac) &&
        (query.sessionId === undefined || event.sessionId === query.sessionId) &&
        (query.kind === undefined || event.kind === query.kind) &&
        (query.afterSeq === undefined || event.seq > query.afterSeq),
    );
    const newest = Math.max(0, found.length - query.limit);
    return Promise.resolve(query.afterSeq === undefined ? found.slice(newest) : found.slice(0, query.limit));
  }

  prune(keep: number): Promise<number> {
    const removed = Math.max(0, this.#events.length - keep);
    this.#events = this.#events.slice(removed);
    return Promise.resolve(removed);
  }
}
