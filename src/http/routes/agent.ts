// What an enrolled machine's agent asks and tells, authenticated by its client certificate. Lines of text, not JSON.
import type { RateLimitOptions } from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { EnrollmentService } from '../../enrollment/enrollment-service.ts';
import type { AgentService, DesiredState } from '../../machines/agent-service.ts';
import type { Machine } from '../../machines/machine.ts';
import type { AgentReport } from '../../machines/machine-service.ts';
import { requireMachine } from '../auth.ts';
import { atMostOne, one, wireText } from '../form-body.ts';
import { peerAddress, type HttpApp } from '../http-app.ts';
import { sendCertificate } from './enroll.ts';

export interface AgentRouteParts {
  readonly agentService: Pick<AgentService, 'desired' | 'config' | 'report' | 'heartbeat' | 'message'>;
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
const HEARTBEAT = z.object({
  uptime_seconds: atMostOne(z.coerce.number().nonnegative()),
  load: atMostOne(z.coerce.number().nonnegative()),
  boot_id: atMostOne(word),
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
    const machine = await agentService.heartbeat(machineOf(request));
    return reply.send(desiredLines(machine, agentService.desired(machine)));
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
    ...desired.checkFiles.map((path) => ['check_file', path] as const),
  ];
  return pairs
    .filter(([, value]) => !/[\r\n\0]/.test(String(value)))
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}
