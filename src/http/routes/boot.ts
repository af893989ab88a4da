// What machines fetch on their way: /boot/<token>/<name>. Decides nothing: the boot service says what there is to send.
import { z } from 'zod';
import type { FastifyReply } from 'fastify';
import type { BlobStore } from '../../images/blob-store.ts';
import type { Clock } from '../../clock.ts';
import type { BootResource } from '../../boot-sessions/boot-resource.ts';
import type { BootService } from '../../boot-sessions/boot-service.ts';
import { peerAddress, type HttpApp } from '../http-app.ts';
import { serveBlob } from '../serve-blob.ts';

export interface BootRouteParts {
  readonly bootService: Pick<BootService, 'resource'>;
  readonly blobs: Pick<BlobStore, 'read'>;
  readonly clock: Clock;
}

const REFUSALS = { 403: 'forbidden', 404: 'not-found', 410: 'token-expired', 429: 'too-many-requests' } as const;
const PATH = z.object({ token: z.string().min(1).max(256), '*': z.string().min(1).max(256) });

export function bootRoutes(app: HttpApp, parts: BootRouteParts): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/boot/:token/*',
    schema: { params: PATH },
    handler: async (request, reply) => {
      const resource = await parts.bootService.resource({
        token: request.params.token,
        name: request.params['*'].replace(/^\/+/, ''),
        method: request.method === 'HEAD' ? 'HEAD' : 'GET',
        peerAddress: peerAddress(request),
      });
      if (resource.kind === 'blob') {
        await serveBlob(request, reply, resource, { blobs: parts.blobs, now: () => parts.clock.now() });
        return reply;
      }
      return sendSmall(reply, resource);
    },
  });
}

function sendSmall(reply: FastifyReply, resource: Exclude<BootResource, { kind: 'blob' }>): FastifyReply {
  void reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
  switch (resource.kind) {
    case 'text':
      return reply.header('content-type', resource.contentType).send(resource.body);
    case 'bytes':
      return reply.header('content-type', resource.contentType).send(Buffer.from(resource.body));
    case 'refused':
      if (resource.status === 429) void reply.header('retry-after', '60');
      return reply
        .code(resource.status)
        .header('content-type', 'text/plain')
        .send(`${REFUSALS[resource.status]}: ${resource.reason}\n`);
  }
}
