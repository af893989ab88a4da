// Who is calling: an administrator by token or by the web page's session, or a machine by its client certificate.
// Checks before the body is read. What the caller may then do is the routes' and the services' matter.
import { TLSSocket } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import type { EnrollmentService } from '../enrollment/enrollment-service.ts';
import { AppError } from '../errors.ts';
import type { Machine } from '../machines/machine.ts';
import type { WebSessions } from './web-sessions.ts';

/** `__Host-`: browsers take it only over TLS, for this host alone and for the whole site (RFC 6265bis §4.1.3.2). */
export const SESSION_COOKIE = '__Host-muster';

export interface AdminAuth {
  /** Compares in constant time. */
  verifyAdminToken(token: string): boolean;
  readonly sessions: WebSessions;
}

/** The token of an `Authorization: Bearer` header (RFC 6750 §2.1), or undefined. */
export function bearerToken(request: FastifyRequest): string | undefined {
  return /^Bearer +([\w\-.~+/]+=*)$/i.exec(request.headers.authorization ?? '')?.[1];
}

/** The password of an `Authorization: Basic` header (RFC 7617 §2), or undefined. */
function basicPassword(request: FastifyRequest): string | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/]+=*)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const pair = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon === -1 ? undefined : pair.slice(colon + 1);
}

/** The id of the session that the browser holds, if it is still open. */
export function openSession(request: FastifyRequest, sessions: WebSessions): string | undefined {
  const id = request.cookies[SESSION_COOKIE];
  return id !== undefined && sessions.isOpen(id) ? id : undefined;
}

/** Throws `unauthorised` unless an administrator calls, `forbidden` where another site's page made the browser call. */
export function requireAdmin(request: FastifyRequest, auth: AdminAuth): void {
  if (request.headers.authorization !== undefined) {
    const token = bearerToken(request);
    if (token !== undefined && auth.verifyAdminToken(token)) return;
    throw new AppError('unauthorised', 'The admin token is wrong.');
  }
  if (openSession(request, auth.sessions) === undefined) {
    throw new AppError('unauthorised', 'This needs the admin token: Authorization: Bearer <token>.');
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') requireSameOrigin(request);
}

/** A cookie proves the browser, not the page: a change must come from a page of this very origin (Fetch §3.2, §4.9). */
export function requireSameOrigin(request: FastifyRequest): void {
  const site = request.headers['sec-fetch-site'];
  const { origin } = request.headers;
  const same = site === undefined ? origin === `${request.protocol}://${request.host}` : site === 'same-origin';
  if (!same) throw new AppError('forbidden', 'This form was sent from another site.');
}

/** The name that is put on record for what the caller does. */
export function actorOf(request: FastifyRequest): string {
  return request.headers.authorization === undefined ? 'admin (web)' : 'admin';
}

/** The machine whose certificate authenticated this connection, or throws `unauthorised` (or what the service says). */
export async function requireMachine(
  request: FastifyRequest,
  enrollment: Pick<EnrollmentService, 'identify'>,
): Promise<Machine> {
  const serial = certificateSerial(request);
  if (serial === undefined)
    throw new AppError('unauthorised', 'This needs the client certificate of an enrolled machine.');
  const outcome = await enrollment.identify(serial);
  if (outcome.kind === 'machine') return outcome.machine;
  throw new AppError(outcome.code, 'This certificate is no longer accepted.');
}

/** `authorized` alone is not enough: a resumed session without a certificate must not count. */
function certificateSerial(request: FastifyRequest): string | undefined {
  const { socket } = request.raw;
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const serial: string | undefined = socket.getPeerX509Certificate()?.serialNumber;
  return serial?.toLowerCase();
}

/**
 * The registry's door: container tools log in with any user name and the admin token as password, programs may send it as a
 * bearer token; an enrolled machine may pull. A browser's session opens nothing here: no page of ours speaks to the registry.
 */
export async function requireRegistryAccess(
  request: FastifyRequest,
  access: 'pull' | 'push',
  parts: {
    readonly adminAuth: Pick<AdminAuth, 'verifyAdminToken'>;
    readonly enrollmentService: Pick<EnrollmentService, 'identify'>;
  },
): Promise<void> {
  if (request.headers.authorization !== undefined) {
    const token = bearerToken(request) ?? basicPassword(request);
    if (token !== undefined && parts.adminAuth.verifyAdminToken(token)) return;
    throw new AppError('unauthorised', 'The password must be the admin token; any user name will do.');
  }
  if (certificateSerial(request) === undefined) {
    throw new AppError('unauthorised', 'Log in with any user name and the admin token as password.');
  }
  await requireMachine(request, parts.enrollmentService);
  if (access === 'push') throw new AppError('forbidden', 'Machines may pull, not push.');
}
