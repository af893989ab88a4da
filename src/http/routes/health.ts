// Whether this server is ready to serve, for load balancers and scripts. Needs no credential and tells nothing else.
import type { HttpApp } from '../http-app.ts';

export interface HealthRouteParts {
  readonly version: string;
  health(): 'starting' | 'ready' | 'stopping';
}

export function healthRoutes(app: HttpApp, parts: HealthRouteParts): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/healthz',
    handler: (_request, reply) => {
      const status = parts.health();
      return reply
        .code(status === 'ready' ? 200 : 503)
        .header('cache-control', 'no-store')
        .send({ status, version: parts.version });
    },
  });
}
