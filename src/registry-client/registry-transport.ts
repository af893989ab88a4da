// HTTP to one registry: connections, time limits, credentials, repeats with back-off. Knows nothing of images.
import type { Readable } from 'node:stream';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { Agent, type Dispatcher } from 'undici';
import type { Clock, Scheduler } from '../clock.ts';
import { parseChallenges } from './challenge.ts';
import { RegistryAuth, type Credentials } from './registry-auth.ts';
import { asRegistryError, RegistryError } from './registry-error.ts';

export interface RegistryOptions {
  /** `https://host[:port][/folder]`; `http:` where a person says so. */
  readonly url: string;
  readonly credentials?: Credentials;
  /** Trusted instead of `systemAuthorities`. */
  readonly caPem?: string;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly signal?: AbortSignal;
  /** How often a request is made before its failure counts. */
  readonly attempts?: number;
}

export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes can be sent again, a stream cannot: such a request is tried once. */
  readonly body?: Uint8Array | Readable;
  /** `repository:name:pull`, …: what a token must be good for. */
  readonly scopes: readonly string[];
  /** How long the registry may think. */
  readonly answerMs?: number;
}

export interface RegistryAnswer {
  readonly status: number;
  header(name: string): string | undefined;
  readonly body: Dispatcher.ResponseData['body'];
}

const CONNECT_MS = 5_000;
const ANSWER_MS = 30_000;
const SILENCE_MS = 60_000;
const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const TEXT_LIMIT_BYTES = 1024 * 1024;
const TRY_AGAIN = new Set([408, 429, 500, 502, 503, 504]);

export class RegistryTransport {
  readonly base: URL;
  readonly #agent: Agent;
  readonly #auth: RegistryAuth;
  readonly #scheduler: Scheduler;
  readonly #signal: AbortSignal | undefined;
  readonly #attempts: number;

  /** Throws RegistryError('refused') for a URL that is none. */
  constructor(options: RegistryOptions) {
    this.base = baseOf(options.url);
    this.#scheduler = options.scheduler;
    this.#signal = options.signal;
    this.#attempts = options.attempts ?? ATTEMPTS;
    this.#agent = new Agent({
      connect: { timeout: CONNECT_MS, ...trustOf(this.base, options.caPem) },
      bodyTimeout: SILENCE_MS,
    });
    this.#auth = new RegistryAuth({
      registry: this.base,
      credentials: options.credentials,
      clock: options.clock,
      fetchToken: (url, authorization) => this.#fetchToken(url, authorization),
    });
  }

  /** Any status but the passing failures, which are tried again first. Throws RegistryError. */
  async send(request: RegistryRequest): Promise<RegistryAnswer> {
    const attempts = request.body === undefined || request.body instanceof Uint8Array ? this.#attempts : 1;
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#authorised(request).catch((error: unknown) =>
        asRegistryError(error, request.url.host),
      );
      const isLast = attempt >= attempts;
      if (outcome instanceof RegistryError) {
        if (isLast || outcome.reason !== 'unreachable') throw outcome;
        await this.pause(attempt);
      } else {
        if (isLast || !TRY_AGAIN.has(outcome.status)) return outcome;
        await drop(outcome);
        await this.pause(attempt, outcome.header('retry-after'));
      }
    }
  }

  /** Waits longer each time; as long as the registry asks for, within reason. */
  async pause(attempt: number, retryAfter?: string): Promise<void> {
    const asked = /^\d{1,6}$/.test(retryAfter ?? '') ? Number(retryAfter) * 1000 : 0;
    const milliseconds = Math.min(LONGEST_PAUSE_MS, Math.max(asked, FIRST_PAUSE_MS * 2 ** (attempt - 1)));
    const signal = this.#signal;
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const stop = (): void => {
      reject(new RegistryError('interrupted', 'Interrupted.'));
    };
    signal?.addEventListener('abort', stop, { once: true });
    const cancel = this.#scheduler.after(milliseconds, () => {
      resolve(undefined);
    });
    // A scheduler's timers let the process end; a command line that waits here has nothing else that holds it.
    const awake = setInterval(() => undefined, LONGEST_PAUSE_MS);
    try {
      await promise;
    } finally {
      clearInterval(awake);
      cancel();
      signal?.removeEventListener('abort', stop);
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #authorised(request: RegistryRequest): Promise<RegistryAnswer> {
    // Credentials are for this registry alone, wherever it may point.
    if (request.url.origin !== this.base.origin) return this.#dispatch(request, undefined);
    const sent = this.#auth.header(request.scopes);
    const answer = await this.#dispatch(request, sent);
    const challenge = answer.status === 401 ? answer.header('www-authenticate') : undefined;
    if (challenge === undefined) return answer;
    // A request beside this one may have learned meanwhile what to show.
    const isKnown = this.#auth.header(request.scopes) !== sent;
    if (!isKnown && !(await this.#auth.answer(parseChallenges(challenge), request.scopes))) return answer;
    if (request.body !== undefined && !(request.body instanceof Uint8Array)) return answer;
    await drop(answer);
    return this.#dispatch(request, this.#auth.header(request.scopes));
  }

  async #fetchToken(url: URL, authorization: string | undefined): Promise<{ status: number; text: string }> {
    const answer = await this.#dispatch({ method: 'GET', url, scopes: [] }, authorization);
    return { status: answer.status, text: (await readBytes(answer, TEXT_LIMIT_BYTES)).toString('utf8') };
  }

  async #dispatch(request: RegistryRequest, authorization: string | undefined): Promise<RegistryAnswer> {
    const { method, url, headers, body } = request;
    const {
      statusCode,
      headers: answered,
      body: content,
    } = await this.#agent.request({
      method,
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      headers: { 'user-agent': 'muster', ...headers, ...(authorization === undefined ? {} : { authorization }) },
      headersTimeout: request.answerMs ?? ANSWER_MS,
      ...(body === undefined ? {} : { body }),
      ...(this.#signal === undefined ? {} : { signal: this.#signal }),
    });
    const header = (name: string): string | undefined => {
      const value = answered[name];
      return Array.isArray(value) ? value.join(', ') : value;
    };
    return { status: statusCode, header, body: content };
  }
}

/** Reads the whole body, at most so many bytes. Throws RegistryError('too-large'), or 'unreachable' where it breaks off. */
export async function readBytes(answer: RegistryAnswer, limitBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of bytesOf(answer.body)) {
      sizeBytes += chunk.length;
      if (sizeBytes > limitBytes) break;
      chunks.push(chunk);
    }
  } catch (cause) {
    throw asRegistryError(cause, 'The registry');
  }
  if (sizeBytes > limitBytes)
    throw new RegistryError('too-large', `The registry sends more than ${limitBytes} bytes where less is expected.`);
  return Buffer.concat(chunks);
}

/** Makes the connection free again without the body. */
export async function drop(answer: RegistryAnswer): Promise<void> {
  await answer.body.dump({ limit: TEXT_LIMIT_BYTES }).catch(() => undefined);
}

/** undici types its body loosely; it yields bytes. */
export async function* bytesOf(body: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) if (chunk instanceof Uint8Array) yield chunk;
}

/** Node's own list and this machine's: Node by itself would not know an authority that was added in /etc/ssl/certs. */
export function systemAuthorities(): readonly string[] {
  return [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
}

/** One context for all connections: several hundred certificates take a while to read. */
function trustOf(base: URL, caPem: string | undefined): { readonly secureContext?: SecureContext } {
  if (base.protocol === 'http:') return {};
  return { secureContext: createSecureContext({ ca: caPem ?? [...systemAuthorities()] }) };
}

function baseOf(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '' || url.hash !== '')
    throw new RegistryError('refused', `${JSON.stringify(text)} is not the URL of a registry.`);
  return url;
}
