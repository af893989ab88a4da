// The CA certificate that machines pin by its SHA-256: the answer must be the very bytes of ca.pem.
import type { HttpApp } from '../http-app.ts';

export function caRoutes(app: HttpApp, parts: { readonly caPem: string }): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/ca.pem',
    handler: (_request, reply) =>
      reply
        .header('content-type', 'application/x-pem-file')
        .header('cache-control', 'no-cache')
        .header('x-content-type-options', 'nosniff')
        .send(Buffer.from(parts.caPem)),
  });
}
