// Rollouts for administrators: drafts with a preview, approval, and everything that holds machines back. Limits come as people
// write them (`5%`, `Sat 01:00–05:00 Europe/Berlin`), so that all programs get the same messages.
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { MachineService } from '../../machines/machine-service.ts';
import { parseMaintenanceWindow } from '../../rollouts/maintenance-window.ts';
import type { RolloutPreview } from '../../rollouts/preview.ts';
import type { Rollout, RolloutId, RolloutSpec } from '../../rollouts/rollout.ts';
import type { RolloutService } from '../../rollouts/rollout-service.ts';
import { parseSelector } from '../../rollouts/selector.ts';
import { parseShare } from '../../rollouts/share.ts';
import { waveEnds } from '../../rollouts/waves.ts';
import { actorOf } from '../auth.ts';
import type { HttpApp } from '../http-app.ts';
import { foundMachine, MACHINE_REF } from './machines.ts';

export interface RolloutRouteParts {
  readonly rollouts: Pick<
    RolloutService,
    | 'create'
    | 'imageOf'
    | 'list'
    | 'show'
    | 'document'
    | 'approve'
    | 'pause'
    | 'resume'
    | 'abort'
    | 'rollback'
    | 'pin'
    | 'unpin'
    | 'freezes'
    | 'freeze'
    | 'thaw'
    | 'why'
  >;
  readonly machineService: Pick<MachineService, 'resolve' | 'reinstall'>;
  readonly clock: Clock;
}

const DAY_SECONDS = 24 * 3600;
const note = z.string().trim().max(500);
const text = z.string().trim().min(1).max(500);
const seconds = (most: number) => z.int().min(0).max(most);
const CREATE = z.strictObject({
  image: text,
  to: text,
  waves: text.default('1,10%,50%,100%'),
  maxUnavailable: text.default('5%'),
  maxFailures: text.default('2%'),
  minimumSample: z.int().min(0).max(1_000_000).default(10),
  soakSeconds: seconds(30 * DAY_SECONDS).default(1800),
  deadlineSeconds: seconds(365 * DAY_SECONDS)
    .min(60)
    .default(7200),
  window: text.optional(),
  budgets: z.record(z.string().min(1).max(63), z.int().min(1).max(1_000_000)).default({}),
  subnetBytesPerHour: z.int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
  allowDowngrade: z.boolean().default(false),
  autoRollback: z.boolean().default(false),
  joiners: z.enum(['last-wave', 'ignore']).default('last-wave'),
  note: note.default(''),
});
const ID = z.object({ id: z.string().regex(/^r-[0-9a-f]{1,32}$/, 'is not the id of a rollout') });
const APPROVAL = z.strictObject({
  signature: z
    .string()
    .max(1024)
    .regex(/^[A-Za-z0-9+/]+={0,2}$/, 'is not base64')
    .optional(),
});
const REMARK = z.strictObject({ note: note.default('') });
const LIST = z.object({ limit: z.coerce.number().int().min(1).max(1_000).default(50) });
const PIN = z.strictObject({ note: note.min(1, 'must say why') });
const FREEZE = z.strictObject({
  to: text,
  from: z.int().min(0).optional(),
  until: z.int().min(0),
  note: note.min(1, 'must say why'),
});
const FREEZE_ID = z.object({ id: z.string().regex(/^f-[0-9a-f]{1,32}$/, 'is not the id of a freeze') });

export function rolloutRoutes(app: HttpApp, parts: RolloutRouteParts): void {
  const { rollouts } = parts;
  app.post('/rollouts', { schema: { body: CREATE } }, async (request, reply) => {
    const { rollout, preview } = await rollouts.create(await specOf(request.body, rollouts), actorOf(request));
    return reply.code(201).send({ rollout, preview: previewAnswer(preview) });
  });
  app.get('/rollouts', { schema: { querystring: LIST } }, async ({ query }) => ({
    rollouts: await rollouts.list(query.limit),
  }));
  app.get('/rollouts/:id', { schema: { params: ID } }, async ({ params }) => {
    const { rollout, members, waitingFor, names } = await rollouts.show(idOf(params));
    const waves = waveEnds(rollout.spec.waves, rollout.memberCount, rollout.joinedCount);
    const named = members.map((member) => ({ ...member, name: names.get(member.machineId) ?? member.machineId }));
    return { rollout, waves, members: named, waitingFor };
  });
  app.get('/rollouts/:id/document', { schema: { params: ID } }, async ({ params }) => ({
    document: await rollouts.document(idOf(params)),
  }));
  app.post('/rollouts/:id/approve', { schema: { params: ID, body: APPROVAL } }, async (request) => ({
    rollout: await rollouts.approve(idOf(request.params), { by: actorOf(request), signature: request.body.signature }),
  }));
  for (const verb of ['pause', 'resume', 'abort'] as const)
    app.post(`/rollouts/:id/${verb}`, { schema: { params: ID, body: REMARK } }, async (request) => {
      const reason = request.body.note === '' ? `${verb} by ${actorOf(request)}` : request.body.note;
      return { rollout: await rollouts[verb](idOf(request.params), actorOf(request), reason) };
    });
  app.post('/rollouts/:id/rollback', { schema: { params: ID } }, async (request) => ({
    rollouts: await rollouts.rollback(idOf(request.params), actorOf(request)),
  }));
  machineRuleRoutes(app, parts);
  freezeRoutes(app, parts);
}

function machineRuleRoutes(app: HttpApp, { rollouts, machineService }: RolloutRouteParts): void {
  const found = async (ref: string) => foundMachine(await machineService.resolve(ref));
  app.get('/machines/:ref/rollouts', { schema: { params: MACHINE_REF } }, async ({ params }) => {
    const machine = await found(params.ref);
    const why = await rollouts.why(machine.id);
    return { machine, rollouts: why.map(({ rollout, ...rest }) => ({ rollout: summaryOf(rollout), ...rest })) };
  });
  app.put('/machines/:ref/pin', { schema: { params: MACHINE_REF, body: PIN } }, async (request) => {
    const machine = await found(request.params.ref);
    await rollouts.pin(machine.id, actorOf(request), request.body.note);
    return { machine };
  });
  app.delete('/machines/:ref/pin', { schema: { params: MACHINE_REF } }, async (request) => {
    const machine = await found(request.params.ref);
    if (!(await rollouts.unpin(machine.id, actorOf(request))))
      throw new AppError('not-found', `${request.params.ref} is not pinned`);
    return { machine };
  });
  app.post('/machines/:ref/reinstall', { schema: { params: MACHINE_REF } }, async (request) => ({
    machine: foundMachine(await machineService.reinstall(request.params.ref, actorOf(request))),
  }));
}

function freezeRoutes(app: HttpApp, { rollouts, clock }: RolloutRouteParts): void {
  app.get('/freezes', async () => ({ freezes: await rollouts.freezes() }));
  app.post('/freezes', { schema: { body: FREEZE } }, async (request, reply) => {
    const { to, from = clock.now(), until, note: remark } = request.body;
    if (until <= from) throw new AppError('invalid-request', 'until: the freeze would end before it begins.');
    const freeze = { labels: labelsOf(to), from, until, note: remark, by: actorOf(request) };
    return reply.code(201).send({ freeze: await rollouts.freeze(freeze) });
  });
  app.delete('/freezes/:id', { schema: { params: FREEZE_ID } }, async (request, reply) => {
    if (!(await rollouts.thaw(request.params.id, actorOf(request))))
      throw new AppError('not-found', `there is no freeze ${request.params.id}`);
    return reply.code(204).send();
  });
}

async function specOf(body: z.output<typeof CREATE>, rollouts: Pick<RolloutService, 'imageOf'>): Promise<RolloutSpec> {
  const { image, to, waves, maxUnavailable, maxFailures, window, subnetBytesPerHour, ...rest } = body;
  return {
    ...rest,
    selector: parseSelector(to),
    waves: waves.split(',').map((wave) => parseShare(wave, 'waves')),
    maxUnavailable: parseShare(maxUnavailable, 'max-unavailable'),
    maxFailures: parseShare(maxFailures, 'max-failures'),
    ...(window !== undefined && { window: parseMaintenanceWindow(window) }),
    ...(subnetBytesPerHour !== undefined && { subnetBytesPerHour }),
    image: await rollouts.imageOf(image),
  };
}

/** A freeze has one value for each label. */
function labelsOf(to: string): Readonly<Record<string, string>> {
  const { labels, machines } = parseSelector(to);
  const pairs = Object.entries(labels).map(([key, values]) => {
    const [value, other] = values;
    if (value === undefined || other !== undefined || value.includes('*'))
      throw new AppError('invalid-request', `to: a freeze takes one value for ${key}; make one freeze for each.`);
    return [key, value] as const;
  });
  if (machines.length > 0)
    throw new AppError(
      'invalid-request',
      'to: a freeze is for labels; a single machine is pinned: muster machines pin',
    );
  return Object.fromEntries(pairs);
}

function previewAnswer({ members, ...rest }: RolloutPreview): object {
  return {
    ...rest,
    members: members.map(({ machine, ...member }) => ({ ...member, machineId: machine.id, name: machine.name })),
  };
}

function summaryOf({ id, state, stateReason, spec }: Rollout): object {
  const { repository, digest, version } = spec.image;
  return { id, state, stateReason, image: `${repository}@${digest}`, version };
}

function idOf({ id }: { readonly id: string }): RolloutId {
  return id as RolloutId;
}
