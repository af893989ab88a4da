// One debug line per request. Never headers, never bodies, and of a boot path's token the first four characters alone.
import type { FastifyInstance } from 'fastify';

const TOKEN_IN_PATH = /^(\/+boot\/+)([^/?]{1,4})[^/?]*/i;

/** The path of a URL as it may be logged: no query, path tokens cut, control characters escaped, of bounded length. */
export function safePath(url: string): string {
  const path = (url.split('?')[0] ?? '').slice(0, 300);
  return path
    .replace(TOKEN_IN_PATH, '$1$2…')
    .replaceAll(/[^\x20-\x7e…]/g, (character) => encodeURIComponent(character));
}

/** Adds the hook that writes the line when the response has ended. */
export function logRequests(app: Pick<FastifyInstance, 'addHook'>): void {
  app.addHook('onResponse', (request, reply, done) => {
    request.log.debug(
      {
        method: request.method,
        path: safePath(request.url),
        peer: request.ip,
        status: reply.raw.statusCode,
        durationMs: Math.round(reply.elapsedTime),
      },
      'request',
    );
    done();
  });
}
