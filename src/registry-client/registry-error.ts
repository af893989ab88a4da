// Why a registry could not be used: one failure type with a closed list of reasons, each of which has another remedy.

export type RegistryFailure =
  /** No connection, or it broke and stayed broken. */
  | 'unreachable'
  /** The certificate does not chain to what is trusted. */
  | 'untrusted'
  /** Speaks plain HTTP where TLS was asked for. */
  | 'no-tls'
  /** The credentials are missing, wrong or do not reach so far. */
  | 'unauthorised'
  | 'not-found'
  /** Answers 5xx again and again. */
  | 'unavailable'
  /** Asks to come back later (429): a cache may still be fetching. */
  | 'busy'
  /** Any other refusal; the message holds the registry's own words. */
  | 'refused'
  /** What came is not what the specification asks for. */
  | 'invalid-answer'
  | 'digest-mismatch'
  | 'too-large'
  | 'interrupted';

export class RegistryError extends Error {
  readonly reason: RegistryFailure;

  constructor(reason: RegistryFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RegistryError';
    this.reason = reason;
  }
}

/** What undici, TLS or the system threw, as a RegistryError. Whatever is one already stays. */
export function asRegistryError(cause: unknown, host: string): RegistryError {
  if (cause instanceof RegistryError) return cause;
  const code = errorCode(cause);
  if (/ABORT/i.test(code)) return new RegistryError('interrupted', 'Interrupted.', { cause });
  if (/CERT|SIGNED|ISSUER|ALTNAME/.test(code))
    return new RegistryError('untrusted', `${host} shows a certificate that is not trusted (${code}).`, { cause });
  if (/^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/.test(code))
    return new RegistryError('no-tls', `${host} does not speak TLS (${code}).`, { cause });
  return new RegistryError('unreachable', `${host} does not answer (${code}).`, { cause });
}

/** Node's connection errors hold their code inside, or in the first of several attempts. */
function errorCode(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return errorCode(error.errors[0]);
  if (error instanceof Error && error.name === 'AbortError') return 'ABORT';
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof Error && error.cause !== undefined) return errorCode(error.cause);
  return error instanceof Error ? error.message : String(error);
}
