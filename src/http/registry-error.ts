// Failures as the distribution-spec tells them ("Error Codes"): one of its 14 codes, in its JSON. Which HTTP status each gets is
// the error handler's matter.
import type { AppError, ErrorCode } from '../errors.ts';
import type { OciErrorCode, Refused } from '../images/registry/registry-outcome.ts';

/** Where one code stands for failures of different kinds, the kind decides the status. */
export type RegistryErrorKind = 'too-large' | 'out-of-order' | 'malformed';

export class RegistryError extends Error {
  readonly code: OciErrorCode;
  readonly kind: RegistryErrorKind | undefined;
  /** What a program may want to know: numbers that the message says in words. */
  readonly detail: Readonly<Record<string, number>>;

  constructor(
    code: OciErrorCode,
    message: string,
    kind?: RegistryErrorKind,
    detail: Readonly<Record<string, number>> = {},
  ) {
    super(message);
    this.name = 'RegistryError';
    this.code = code;
    this.kind = kind;
    this.detail = detail;
  }
}

/** What a handler throws for a refusal of the registry. */
export function refusalError({ code, message, limitBytes }: Refused): RegistryError {
  return limitBytes === undefined
    ? new RegistryError(code, message)
    : new RegistryError(code, message, 'too-large', { limitBytes });
}

/** Whether a URL belongs to the registry: whoever asks there understands the registry's answers alone. */
export function isRegistryUrl(url: string): boolean {
  return /^\/+v2(?:[/?]|$)/.test(url);
}

/** Failures that are not the registry's own, in its words. The spec binds 4xx alone: of a defect clients expect `UNKNOWN`. */
const CODES: Readonly<Partial<Record<ErrorCode, OciErrorCode>>> = {
  'invalid-request': 'UNSUPPORTED',
  unauthorised: 'UNAUTHORIZED',
  forbidden: 'DENIED',
  'machine-not-approved': 'DENIED',
  'machine-retired': 'DENIED',
  'not-found': 'UNSUPPORTED',
  'payload-too-large': 'SIZE_INVALID',
  'too-many-requests': 'TOOMANYREQUESTS',
  'digest-mismatch': 'DIGEST_INVALID',
};

/** The body of the answer; stack and cause stay here. */
export function registryErrorBody(failure: RegistryError | AppError): object {
  const { message } = failure;
  return failure instanceof RegistryError
    ? { errors: [{ code: failure.code, message, detail: failure.detail }] }
    : { errors: [{ code: CODES[failure.code] ?? 'UNKNOWN', message, detail: {} }] };
}
