// Machines for administrators and their programs: list, show, explain, approve, retire.
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { EventLog } from '../../events/event-log.ts';
import { MACHINE_STATES, type Machine } from '../../machines/machine.ts';
import type { MachineOutcome, MachineService } from '../../machines/machine-service.ts';
import { actorOf } from '../auth.ts';
import type { HttpApp } from '../http-app.ts';
import { latestBoot } from '../latest-boot.ts';

export interface MachineRouteParts {
  readonly machineService: Pick<MachineService, 'list' | 'resolve' | 'approve' | 'retire' | 'explain'>;
  readonly eventLog: Pick<EventLog, 'query'>;
}

/** An id, the beginning of one, a MAC address in any spelling or a host name. */
export const MACHINE_REF = z.object({ ref: z.string().min(1).max(253) });
const LIST = z.object({
  state: z.enum(MACHINE_STATES).optional(),
  limit: z.coerce.number().int().min(1).max(10_000).default(1_000),
});

export function machineRoutes(app: HttpApp, { machineService, eventLog }: MachineRouteParts): void {
  app.get('/machines', { schema: { querystring: LIST } }, async (request) => {
    const { state, limit } = request.query;
    return { machines: await machineService.list({ limit, ...(state !== undefined && { state }) }) };
  });
  app.get('/machines/:ref', { schema: { params: MACHINE_REF } }, async (request) => {
    const machine = foundMachine(await machineService.resolve(request.params.ref));
    return { machine, events: await latestBoot(eventLog, machine.id) };
  });
  app.get('/machines/:ref/explain', { schema: { params: MACHINE_REF } }, async (request) => {
    const explanation = await machineService.explain(request.params.ref);
    if (explanation.kind === 'refused') throw new AppError(explanation.code, explanation.message);
    const { machine, winner, candidates, plan } = explanation;
    return { machine, winner, candidates, plan };
  });
  app.post('/machines/:ref/approve', { schema: { params: MACHINE_REF } }, async (request) => ({
    machine: foundMachine(await machineService.approve(request.params.ref, actorOf(request))),
  }));
  app.post('/machines/:ref/retire', { schema: { params: MACHINE_REF } }, async (request) => ({
    machine: foundMachine(await machineService.retire(request.params.ref, actorOf(request))),
  }));
}

/** The machine, or the refusal thrown as an error. */
export function foundMachine(outcome: MachineOutcome): Machine {
  if (outcome.kind === 'refused') throw new AppError(outcome.code, outcome.message);
  return outcome.machine;
}
