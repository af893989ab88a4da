// The record of what happened, for administrators: by query, and live as server-sent events.
import { z } from 'zod';
import type { BootEventKind } from '../../events/boot-event.ts';
import type { EventLog, EventQuery } from '../../events/event-log.ts';
import type { MachineService } from '../../machines/machine-service.ts';
import { parseMacAddress } from '../../protocol/mac-address.ts';
import type { EventStreams } from '../event-streams.ts';
import type { HttpApp } from '../http-app.ts';
import { foundMachine } from './machines.ts';

export interface EventRouteParts {
  readonly machineService: Pick<MachineService, 'resolve'>;
  readonly eventLog: Pick<EventLog, 'query'>;
  readonly eventStreams: EventStreams;
}

type Selection = Pick<EventQuery, 'machineId' | 'mac'>;

const seq = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const machine = z.string().min(1).max(253).optional();
const QUERY = z.object({
  after: seq.optional(),
  machine,
  kind: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/)
    // A kind that does not exist finds nothing, which is the honest answer.
    .pipe(z.custom<BootEventKind>())
    .optional(),
  limit: z.coerce.number().int().min(1).max(5_000).default(200),
});
const STREAM = z.object({ after: seq.optional(), machine });
const LAST_EVENT_ID = z.object({ 'last-event-id': seq.optional().catch(undefined) });

export function eventRoutes(app: HttpApp, parts: EventRouteParts): void {
  app.get('/events', { schema: { querystring: QUERY } }, async (request) => {
    const { after, kind, limit } = request.query;
    return {
      events: await parts.eventLog.query({
        limit,
        ...(await selectionOf(parts, request.query.machine)),
        ...(after !== undefined && { afterSeq: after }),
        ...(kind !== undefined && { kind }),
      }),
    };
  });
  app.get('/events/stream', { schema: { querystring: STREAM, headers: LAST_EVENT_ID } }, async (request, reply) => {
    // The header is what a browser sends when it connects again; it is newer than the URL.
    const afterSeq = request.headers['last-event-id'] ?? request.query.after;
    const selection = await selectionOf(parts, request.query.machine);
    await parts.eventStreams.serve(reply, { ...selection, ...(afterSeq !== undefined && { afterSeq }) });
    return reply;
  });
}

/** Events of one machine; those of a MAC address that is on no machine's record go by the address. */
async function selectionOf(parts: EventRouteParts, ref: string | undefined): Promise<Selection> {
  if (ref === undefined) return {};
  const outcome = await parts.machineService.resolve(ref);
  const mac = parseMacAddress(ref);
  if (outcome.kind === 'refused' && outcome.code === 'not-found' && mac !== undefined) return { mac };
  return { machineId: foundMachine(outcome).id };
}
