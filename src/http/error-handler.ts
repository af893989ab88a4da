// The one place where a failure becomes an HTTP answer: status from the code, form from the route. Programs get JSON,
// agents and firmware one line of text, people a page, container tools what the distribution-spec says.
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { AppError, type ErrorCode } from '../errors.ts';
import type { OciErrorCode } from '../images/registry/registry-outcome.ts';
import { errorPage } from '../web/error-page.ts';
import { isRegistryUrl, RegistryError, registryErrorBody, type RegistryErrorKind } from './registry-error.ts';
import { safePath } from './request-log.ts';

const STATUS_OF: Readonly<Record<ErrorCode, number>> = {
  'invalid-request': 400,
  'csr-invalid': 400,
  'digest-mismatch': 400,
  'token-malformed': 400,
  'invalid-settings': 400,
  'invalid-profile': 400,
  'invalid-cloud-config': 400,
  unauthorised: 401,
  'token-forged': 401,
  'token-expired': 401,
  'token-unknown': 401,
  'token-wrong-audience': 401,
  forbidden: 403,
  'token-wrong-machine': 403,
  'token-revoked': 403,
  'machine-not-approved': 403,
  'machine-retired': 403,
  'not-found': 404,
  conflict: 409,
  'token-used': 409,
  'payload-too-large': 413,
  'too-many-requests': 429,
  internal: 500,
  'missing-interface': 500,
  'port-taken': 500,
  'permission-denied': 500,
  'missing-loader': 503,
  'missing-program': 503,
  'storage-failure': 503,
};

/** The failures that the table of endpoints lists for each code (distribution-spec "Endpoints"). */
const STATUS_OF_REGISTRY: Readonly<Record<OciErrorCode | RegistryErrorKind, number>> = {
  malformed: 400,
  BLOB_UPLOAD_INVALID: 400,
  DIGEST_INVALID: 400,
  MANIFEST_INVALID: 400,
  NAME_INVALID: 400,
  SIZE_INVALID: 400,
  UNAUTHORIZED: 401,
  DENIED: 403,
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_UNKNOWN: 404,
  MANIFEST_BLOB_UNKNOWN: 404,
  MANIFEST_UNKNOWN: 404,
  NAME_UNKNOWN: 404,
  UNSUPPORTED: 405,
  'too-large': 413,
  'out-of-order': 416,
  TOOMANYREQUESTS: 429,
};

/** Answers any failure of a route; a defect is logged whole and shown as `internal`. */
export function handleError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof RegistryError) {
    return sendRegistryError(reply.code(STATUS_OF_REGISTRY[error.kind ?? error.code]), error);
  }
  const failure = asAppError(error);
  const status = STATUS_OF[failure.code];
  // Of a client that went away in the middle of its body nobody has to hear.
  const level = request.raw.destroyed && !request.raw.complete ? 'debug' : 'error';
  if (status >= 500) request.log[level]({ err: error, path: safePath(request.url) }, 'request failed');
  if (isRegistryUrl(request.url)) return sendRegistryError(reply.code(status), failure);
  if (failure.code === 'unauthorised') reply.header('www-authenticate', 'Bearer realm="muster"');
  return sendFailure(request, reply.code(status), failure);
}

/** Answers a request for which there is no route. */
export function handleNotFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = new AppError('not-found', 'There is nothing at this address.');
  return isRegistryUrl(request.url)
    ? sendRegistryError(reply.code(404), failure)
    : sendFailure(request, reply.code(404), failure);
}

/** Basic alone is offered: the one scheme for which every container tool has a log-in (RFC 7617 §2). */
function sendRegistryError(reply: FastifyReply, failure: RegistryError | AppError): FastifyReply {
  if (reply.statusCode === 429 && !reply.hasHeader('retry-after')) void reply.header('retry-after', '10');
  if (reply.statusCode === 401) void reply.header('www-authenticate', 'Basic realm="Muster"');
  return reply.header('cache-control', 'no-store').type('application/json').send(registryErrorBody(failure));
}

function sendFailure(request: FastifyRequest, reply: FastifyReply, failure: AppError): FastifyReply {
  void reply.header('cache-control', 'no-store');
  switch (failureForm(request.url)) {
    case 'json':
      return reply.send({ error: { code: failure.code, message: failure.message } });
    case 'text':
      return reply.header('content-type', 'text/plain').send(`${failure.code}: ${failure.message}\n`);
    case 'page':
      return reply.type('text/html; charset=utf-8').send(errorPage(reply.statusCode, failure.message));
  }
}

const TEXT_PATHS = /^\/+(?:boot|healthz|ca\.pem|api\/+v1\/+(?:enroll|agent))(?:[/?]|$)/;
const JSON_PATHS = /^\/+api(?:[/?]|$)/;

function failureForm(url: string): 'json' | 'text' | 'page' {
  if (TEXT_PATHS.test(url)) return 'text';
  return JSON_PATHS.test(url) ? 'json' : 'page';
}

function asAppError(error: FastifyError | Error): AppError {
  if (error instanceof AppError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const [issue] = error.validation;
    const where = [error.validationContext, ...(issue?.instancePath.split('/').filter(Boolean) ?? [])].join('.');
    return new AppError('invalid-request', `${where}: ${issue?.message ?? 'not as documented'}`, { cause: error });
  }
  const status = 'statusCode' in error ? (error.statusCode ?? 500) : 500;
  if (status === 413)
    return new AppError('payload-too-large', 'The body is larger than this route takes.', { cause: error });
  if (status === 404) return new AppError('not-found', 'There is nothing at this address.', { cause: error });
  if (status >= 400 && status < 500) return new AppError('invalid-request', error.message, { cause: error });
  return new AppError('internal', 'Something went wrong here; the log of the server has the details.', {
    cause: error,
  });
}
