// The part of a machine's record that people ask for first: its latest boot and everything after.
import type { BootEvent } from '../events/boot-event.ts';
import type { EventLog } from '../events/event-log.ts';
import type { MachineId } from '../machines/machine.ts';

const MAX_EVENTS = 500;

/** Events from the first one of the newest boot session on, oldest first; all of them where there was no session yet. */
export async function latestBoot(log: Pick<EventLog, 'query'>, machineId: MachineId): Promise<readonly BootEvent[]> {
  const events = await log.query({ machineId, limit: MAX_EVENTS });
  const session = events.findLast((event) => event.sessionId !== undefined)?.sessionId;
  if (session === undefined) return events;
  return events.slice(events.findIndex((event) => event.sessionId === session));
}
