// The web page: a door, the fleet, one machine, and the fragments that keep open pages true. Every page but the door needs
// a session; every form must come from a page of this very origin.
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { EventLog } from '../../events/event-log.ts';
import type { ImageCatalogue } from '../../images/image-catalogue.ts';
import { MACHINE_STATES, type MachineState } from '../../machines/machine.ts';
import type { MachineService } from '../../machines/machine-service.ts';
import type { MachineStore } from '../../machines/machine-store.ts';
import { loadAsset } from '../../web/assets.ts';
import { fleetFragment, fleetPage, type FleetView } from '../../web/fleet-page.ts';
import { loginPage } from '../../web/login-page.ts';
import { machineFragment, machinePage, type MachineView } from '../../web/machine-page.ts';
import { actorOf, openSession, requireSameOrigin, SESSION_COOKIE, type AdminAuth } from '../auth.ts';
import { atMostOne, one } from '../form-body.ts';
import type { HttpApp } from '../http-app.ts';
import { latestBoot } from '../latest-boot.ts';
import { SESSION_SECONDS } from '../web-sessions.ts';
import { foundMachine, MACHINE_REF } from './machines.ts';
import { machineCounts } from './status.ts';

export interface WebRouteParts {
  readonly adminAuth: AdminAuth;
  readonly machineService: Pick<MachineService, 'list' | 'resolve' | 'approve' | 'retire'>;
  readonly machineStore: Pick<MachineStore, 'count'>;
  readonly images: Pick<ImageCatalogue, 'isEmpty'>;
  readonly eventLog: Pick<EventLog, 'query'>;
  readonly clock: Clock;
}

const MAX_ROWS = 200;
const LOGINS_PER_MINUTE = 10;
const COOKIE = { path: '/', httpOnly: true, secure: true, sameSite: 'strict' } as const;

const FILTER = z.object({ state: z.enum(MACHINE_STATES).optional().catch(undefined) });
const LOGIN = z.object({ token: one(z.string().max(500)) });
const CHANGE = z.object({ back: atMostOne(z.enum(['fleet', 'machine'])) }).nullish();

export function webRoutes(app: HttpApp, parts: WebRouteParts): void {
  doorRoutes(app, parts);
  pageRoutes(app, parts);
  changeRoutes(app, parts);
  app.get('/static/:name', { schema: { params: z.object({ name: z.string() }) } }, async (request, reply) => {
    const asset = await loadAsset(request.params.name);
    if (asset === undefined) throw new AppError('not-found', 'There is no such file.');
    const etag = `"${createHash('sha256').update(asset.content).digest('hex').slice(0, 32)}"`;
    void reply.header('etag', etag).header('cache-control', 'no-cache');
    if (request.headers['if-none-match'] === etag) return reply.code(304).send();
    return reply.header('content-type', asset.contentType).send(asset.content);
  });
}

function doorRoutes(app: HttpApp, { adminAuth }: WebRouteParts): void {
  const rateLimit = { max: LOGINS_PER_MINUTE, timeWindow: 60_000 };
  app.post('/login', { schema: { body: LOGIN }, config: { rateLimit } }, (request, reply) => {
    requireSameOrigin(request);
    // A token that was copied brings its newline along.
    if (!adminAuth.verifyAdminToken(request.body.token.trim()))
      return sendPage(reply.code(401), loginPage({ refused: true }));
    return reply
      .setCookie(SESSION_COOKIE, adminAuth.sessions.open(), { ...COOKIE, maxAge: SESSION_SECONDS })
      .redirect('/', 303);
  });
  app.post('/logout', (request, reply) => {
    const session = openSession(request, adminAuth.sessions);
    if (session !== undefined) {
      requireSameOrigin(request);
      adminAuth.sessions.close(session);
    }
    return reply.clearCookie(SESSION_COOKIE, COOKIE).redirect('/', 303);
  });
}

function pageRoutes(app: HttpApp, parts: WebRouteParts): void {
  const isOpen = (request: FastifyRequest): boolean => openSession(request, parts.adminAuth.sessions) !== undefined;
  app.get('/', { schema: { querystring: FILTER } }, async (request, reply) =>
    sendPage(
      reply,
      isOpen(request) ? fleetPage(await fleetView(parts, request.query.state)) : loginPage({ refused: false }),
    ),
  );
  app.get('/machines/:ref', { schema: { params: MACHINE_REF } }, async (request, reply) =>
    isOpen(request)
      ? sendPage(reply, machinePage(await machineView(parts, request.params.ref)))
      : reply.redirect('/', 303),
  );
  app.get('/fragments/machines', { schema: { querystring: FILTER } }, async (request, reply) => {
    requireSession(isOpen(request));
    return sendPage(reply, fleetFragment(await fleetView(parts, request.query.state)).markup);
  });
  app.get('/fragments/machines/:ref', { schema: { params: MACHINE_REF } }, async (request, reply) => {
    requireSession(isOpen(request));
    return sendPage(reply, machineFragment(await machineView(parts, request.params.ref)).markup);
  });
}

function changeRoutes(app: HttpApp, { adminAuth, machineService }: WebRouteParts): void {
  for (const change of ['approve', 'retire'] as const) {
    app.post(`/machines/:ref/${change}`, { schema: { params: MACHINE_REF, body: CHANGE } }, async (request, reply) => {
      if (openSession(request, adminAuth.sessions) === undefined) return reply.redirect('/', 303);
      requireSameOrigin(request);
      const machine = foundMachine(await machineService[change](request.params.ref, actorOf(request)));
      return reply.redirect(request.body?.back === 'fleet' ? '/' : `/machines/${encodeURIComponent(machine.id)}`, 303);
    });
  }
}

function requireSession(isOpen: boolean): void {
  if (!isOpen) throw new AppError('unauthorised', 'The session has ended.');
}

function sendPage(reply: FastifyReply, markup: string): FastifyReply {
  return reply.type('text/html; charset=utf-8').header('cache-control', 'no-store').send(markup);
}

async function fleetView(parts: WebRouteParts, state: MachineState | undefined): Promise<FleetView> {
  const machines = await parts.machineService.list({ limit: MAX_ROWS, ...(state !== undefined && { state }) });
  const latest = await Promise.all(machines.map(({ id }) => parts.eventLog.query({ machineId: id, limit: 1 })));
  return {
    counts: await machineCounts(parts.machineStore),
    ...(state !== undefined && { state }),
    rows: machines.map((machine, index) => ({ machine, latest: latest[index]?.[0] })),
    hasImages: !(await parts.images.isEmpty()),
    now: parts.clock.now(),
  };
}

async function machineView(parts: WebRouteParts, ref: string): Promise<MachineView> {
  const machine = foundMachine(await parts.machineService.resolve(ref));
  return { machine, events: await latestBoot(parts.eventLog, machine.id), now: parts.clock.now() };
}
