// Ends connections whose small request body comes drop by drop. Uploads of blobs are exempt: their sockets may be slow,
// only never idle.
import type { Scheduler } from '../clock.ts';
import type { HttpApp } from './http-app.ts';

const BODY_MS = 20_000;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The body of this route may take its time. */
    slowBody?: boolean;
  }
}

export function limitBodyTime(app: HttpApp, scheduler: Scheduler): void {
  app.addHook('onRequest', (request, _reply, done) => {
    if (!request.raw.complete && request.routeOptions.config.slowBody !== true) {
      const cancel = scheduler.after(BODY_MS, () => {
        if (!request.raw.complete) request.raw.destroy();
      });
      request.raw.once('close', cancel);
    }
    done();
  });
}
