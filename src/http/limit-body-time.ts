// Ends connections whose small request body comes drop by drop. Uploads of blobs are exempt: their sockets may be slow,
// only never idle.
import type { FastifyRequest } from 'fastify';
import type { Scheduler } from '../clock.ts';
import type { HttpApp } from './http-app.ts';

const BODY_MS = 20_000;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The body of this route may take its time; a function decides for each request. */
    slowBody?: boolean | ((request: FastifyRequest) => boolean);
  }
}

export function limitBodyTime(app: HttpApp, scheduler: Scheduler): void {
  app.addHook('onRequest', (request, _reply, done) => {
    if (!request.raw.complete && !mayTakeItsTime(request)) {
      const cancel = scheduler.after(BODY_MS, () => {
        if (!request.raw.complete) request.raw.destroy();
      });
      request.raw.once('close', cancel);
    }
    done();
  });
}

function mayTakeItsTime(request: FastifyRequest): boolean {
  const { slowBody } = request.routeOptions.config;
  return typeof slowBody === 'function' ? slowBody(request) : slowBody === true;
}
