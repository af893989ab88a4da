// The one place where a failure becomes an HTTP answer: status from the code, form from the route. Programs get JSON,
// agents and firmware one line of text, people a page.
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { AppError, type ErrorCode } from '../errors.ts';
import { errorPage } from '../web/error-page.ts';
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
  'storage-failure': 503,
};

/** Answers any failure of a route; a defect is logged whole and shown as `internal`. */
export function handleError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = asAppError(error);
  const status = STATUS_OF[failure.code];
  if (status >= 500) request.log.error({ err: error, path: safePath(request.url) }, 'request failed');
  if (failure.code === 'unauthorised') reply.header('www-authenticate', 'Bearer realm="muster"');
  return sendFailure(request, reply.code(status), failure);
}

/** Answers a request for which there is no route. */
export function handleNotFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return sendFailure(request, reply.code(404), new AppError('not-found', 'There is nothing at this address.'));
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
