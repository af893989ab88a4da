// The type of both listeners and what every route file may ask of a request.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';

export type HttpApp = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>;

/** The other end of the connection; IPv4 as such even where the socket is a dual one (RFC 4291 §2.5.5.2). */
export function peerAddress(request: Pick<FastifyRequest, 'ip'>): string {
  return request.ip.replace(/^::ffff:(?=\d+\.)/i, '');
}
