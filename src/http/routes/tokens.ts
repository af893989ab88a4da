// Enrollment tokens for administrators: make, list, revoke. The signed text leaves the server once, in the answer to POST.
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { EnrollmentService } from '../../enrollment/enrollment-service.ts';
import { parseMacAddress } from '../../protocol/mac-address.ts';
import { actorOf } from '../auth.ts';
import type { HttpApp } from '../http-app.ts';

export interface TokenRouteParts {
  readonly enrollmentService: Pick<EnrollmentService, 'createToken' | 'revokeToken' | 'findToken' | 'listTokens'>;
}

const MAX_LISTED = 1_000;
const short = z.string().trim().min(1).max(200);

const NEW_TOKEN = z
  .strictObject({
    ttlSeconds: z.int(),
    uses: z.int(),
    mac: z.string().transform((text, context) => {
      const mac = parseMacAddress(text);
      if (mac === undefined) context.issues.push({ code: 'custom', message: 'is not a MAC address', input: text });
      return mac ?? z.NEVER;
    }),
    uuid: z.string().toLowerCase().pipe(z.guid()),
    serial: short,
    profile: short,
    labels: z.record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/), z.string().max(200)),
    note: z.string().max(500),
  })
  .partial();

export function tokenRoutes(app: HttpApp, { enrollmentService }: TokenRouteParts): void {
  app.get(
    '/tokens',
    { schema: { querystring: z.object({ all: z.enum(['0', '1']).default('0') }) } },
    async (request) => ({
      tokens: await enrollmentService.listTokens({ limit: MAX_LISTED, includeEnded: request.query.all === '1' }),
    }),
  );
  app.post('/tokens', { schema: { body: NEW_TOKEN } }, async (request, reply) => {
    const { token, record } = await enrollmentService.createToken({
      ...definedOnly(request.body),
      by: actorOf(request),
    });
    return reply.code(201).header('cache-control', 'no-store').send({ token, record });
  });
  app.post(
    '/tokens/:id/revoke',
    { schema: { params: z.object({ id: z.string().min(1).max(100) }) } },
    async (request) => {
      const { id } = request.params;
      const revoked = await enrollmentService.revokeToken(id, actorOf(request));
      const record = revoked ? await enrollmentService.findToken(id) : undefined;
      if (record === undefined) throw new AppError('not-found', 'There is no such token.');
      return { record };
    },
  );
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function definedOnly<T extends object>(object: T): Defined<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;
}
