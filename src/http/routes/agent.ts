// What an enrolled machine's agent asks and tells, authenticated by its client certificate. Lines of text, not JSON.
import type { RateLimitOptions } from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { EnrollmentService } from '../../enrollment/enrollment-service.ts';
import { parseDigest, type Digest } from '../../images/digest.ts';
import { ORDER_PHASES, type AgentBeat, type OrderReport } from '../../machines/agent-beat.ts';
import type { AgentService, DesiredState } from '../../machines/agent-service.ts';
import type { Machine } from '../../machines/machine.ts';
import type { AgentReport } from '../../machines/machine-service.ts';
import { requireMachine } from '../auth.ts';
import { atMostOne, one, wireText } from '../form-body.ts';
import { peerAddress, type HttpApp } from '../http-app.ts';
import { sendCertificate } from './enroll.ts';

export interface AgentRouteParts {
  readonly agentService: Pick<
    AgentService,
    'desired' | 'config' | 'order' | 'report' | 'heartbeat' | 'progress' | 'message'
  >;
  readonly enrollmentService: Pick<EnrollmentService, 'identify' | 'renew'>;
  readonly limits: { readonly agentMessagesPerMinute: number };
}

const word = wireText(64).pipe(z.string().min(1));
const REPORT = z
  .object({
    cloud_init: one(word),
    cloud_init_detail: atMostOne(wireText(500)),
    config_digest: atMostOne(wireText(100)),
    hostname: atMostOne(wireText(253)),
    file: z
      .array(z.string().regex(/^(?:[0-9a-f]{64}|missing) .{1,4096}$/s))
      .max(200)
      .default([]),
  })
  .transform(({ cloud_init, cloud_init_detail, config_digest, hostname, file }): AgentReport => {
    return {
      cloudInit: cloud_init,
      ...(cloud_init_detail !== undefined && { detail: cloud_init_detail }),
      ...(config_digest !== undefined && { configDigest: config_digest }),
      ...(hostname !== undefined && { hostname }),
      files: file.map(fileOf),
    };
  });
const count = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const digest = z.string().transform((text, context): Digest => {
  const parsed = parseDigest(text);
  if (parsed === undefined) context.issues.push({ code: 'custom', message: 'is not a digest', input: text });
  return parsed ?? z.NEVER;
});
const ORDER_FIELDS = {
  order_done_bytes: atMostOne(count),
  order_total_bytes: atMostOne(count),
  order_reason: atMostOne(wireText(500)),
};
const HEARTBEAT = z
  .object({
    uptime_seconds: atMostOne(z.coerce.number().nonnegative()),
    load: atMostOne(z.coerce.number().nonnegative()),
    boot_id: atMostOne(word),
    image: atMostOne(digest),
    source: atMostOne(z.enum(['network', 'disk'])),
    slot: atMostOne(z.enum(['A', 'B'])),
    slot_state: atMostOne(z.enum(['good', 'trial'])),
    version: atMostOne(word),
    failed_image: atMostOne(digest),
    failed_reason: atMostOne(wireText(500)),
    order_id: atMostOne(word),
    order_phase: atMostOne(z.enum(ORDER_PHASES)),
    ...ORDER_FIELDS,
  })
  .transform(beatOf);
const PROGRESS = z
  .object({
    order_id: one(word),
    phase: one(z.enum(ORDER_PHASES)),
    done_bytes: ORDER_FIELDS.order_done_bytes,
    total_bytes: ORDER_FIELDS.order_total_bytes,
    reason: ORDER_FIELDS.order_reason,
  })
  .transform(({ order_id, phase, done_bytes, total_bytes, reason }): OrderReport => {
    return orderReport(order_id, phase, { doneBytes: done_bytes, totalBytes: total_bytes, reason });
  });
const MESSAGE = z.object({ level: one(z.enum(['info', 'warn', 'error'])), message: one(wireText(500)) });
const RENEWAL = z.object({ csr: one(z.string().max(8192)) });

export function agentRoutes(app: HttpApp, { agentService, enrollmentService, limits }: AgentRouteParts): void {
  const rateLimit = messageLimit(limits.agentMessagesPerMinute);
  app.decorateRequest('machine', null);
  app.addHook('onRequest', async (request, reply) => {
    request.setDecorator('machine', await requireMachine(request, enrollmentService));
    void reply.header('content-type', 'text/plain').header('cache-control', 'no-store');
  });

  app.get('/desired', (request, reply) => {
    const machine = machineOf(request);
    return reply.send(desiredLines(machine, agentService.desired(machine)));
  });
  app.get('/config', (request, reply) => {
    const { body, digest } = agentService.config(machineOf(request));
    return reply
      .header('content-type', 'text/cloud-config')
      .header('x-muster-config-digest', digest)
      .header('etag', `"${digest.replace(':', '-')}"`)
      .send(body);
  });
  app.post('/report', { schema: { body: REPORT } }, async (request, reply) =>
    reply.send(`state=${await agentService.report(machineOf(request), request.body)}\n`),
  );
  app.post('/heartbeat', { schema: { body: HEARTBEAT } }, async (request, reply) => {
    const machine = await agentService.heartbeat(machineOf(request), request.body);
    return reply.send(desiredLines(machine, agentService.desired(machine)));
  });
  app.get('/order', async (request, reply) => {
    const order = await agentService.order(machineOf(request), request.hostname);
    if (order === undefined) throw new AppError('not-found', 'there is no order for this machine');
    return reply.send(order);
  });
  app.post('/progress', { schema: { body: PROGRESS } }, async (request, reply) => {
    await agentService.progress(machineOf(request), request.body);
    return reply.code(204).send();
  });
  app.post('/event', { schema: { body: MESSAGE }, config: { rateLimit } }, (request, reply) => {
    agentService.message(machineOf(request), request.body.level, request.body.message);
    return reply.code(204).send();
  });
  app.post('/renew', { schema: { body: RENEWAL } }, async (request, reply) => {
    const renewal = { machineId: machineOf(request).id, csrPem: request.body.csr, peerAddress: peerAddress(request) };
    return sendCertificate(reply, await enrollmentService.renew(renewal));
  });
}

interface BeatFields {
  readonly boot_id?: string | undefined;
  readonly image?: Digest | undefined;
  readonly source?: 'network' | 'disk' | undefined;
  readonly slot?: 'A' | 'B' | undefined;
  readonly slot_state?: 'good' | 'trial' | undefined;
  readonly version?: string | undefined;
  readonly failed_image?: Digest | undefined;
  readonly failed_reason?: string | undefined;
  readonly order_id?: string | undefined;
  readonly order_phase?: OrderReport['phase'] | undefined;
  readonly order_done_bytes?: number | undefined;
  readonly order_total_bytes?: number | undefined;
  readonly order_reason?: string | undefined;
}

function beatOf(fields: BeatFields): AgentBeat {
  const { boot_id: bootId, image, source, slot, slot_state: slotState, version } = fields;
  const { failed_image: failed, order_id: orderId, order_phase: phase } = fields;
  const running =
    bootId === undefined || image === undefined || source === undefined
      ? undefined
      : { bootId, image, source, ...defined({ slot, slotState, version }) };
  const order =
    orderId === undefined || phase === undefined
      ? undefined
      : orderReport(orderId, phase, {
          doneBytes: fields.order_done_bytes,
          totalBytes: fields.order_total_bytes,
          reason: fields.order_reason,
        });
  return {
    ...(running !== undefined && { running }),
    ...(failed !== undefined && {
      failedImage: { digest: failed, reason: fields.failed_reason ?? 'it did not come up' },
    }),
    ...(order !== undefined && { order }),
  };
}

function orderReport(
  id: string,
  phase: OrderReport['phase'],
  rest: { [Key in 'doneBytes' | 'totalBytes' | 'reason']: OrderReport[Key] | undefined },
): OrderReport {
  return { id, phase, ...defined(rest) };
}

type Defined<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

/** Without the members that are undefined. */
function defined<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>;
}

/** Messages go on record, so one machine may not fill the record. Counted once it is known which machine speaks. */
function messageLimit(max: number): RateLimitOptions {
  return { max, timeWindow: 60_000, hook: 'preHandler', keyGenerator: (request) => machineOf(request).id };
}

function machineOf(request: FastifyRequest): Machine {
  return request.getDecorator<Machine>('machine');
}

function fileOf(field: string): AgentReport['files'][number] {
  const space = field.indexOf(' ');
  const [sha256, path] = [field.slice(0, space), field.slice(space + 1)];
  return sha256 === 'missing' ? { path } : { path, sha256 };
}

/** One `key=value` a line; a value that could break out of its line is left out. */
function desiredLines(machine: Machine, desired: DesiredState): string {
  const pairs: readonly (readonly [string, string | number])[] = [
    ['machine_id', machine.id],
    ['state', machine.state],
    ['heartbeat_seconds', desired.heartbeatSeconds],
    ['config_digest', desired.configDigest],
    ['hostname', desired.hostname],
    ...(desired.orderId === undefined ? [] : [['order_id', desired.orderId] as const]),
    ...desired.checkFiles.map((path) => ['check_file', path] as const),
  ];
  return pairs
    .filter(([, value]) => !/[\r\n\0]/.test(String(value)))
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}
