// Speaks with the admin API over HTTPS: certificate pinned to the server's own CA, errors turned into one clear sentence.
import type { Readable } from 'node:stream';
import { Agent, type Dispatcher } from 'undici';
import { z } from 'zod';
import { CliError } from './cli-error.ts';
import type { ServerLocation } from './locate-server.ts';

const ANSWER_LIMIT_BYTES = 64 * 1024 * 1024;
/** An ordinary answer; the digest of a large upload is checked while it arrives, so it too answers soon after its end. */
const ANSWER_TIMEOUT_MS = 60_000;
/** The server sends a comment line every 15 seconds. */
const STREAM_SILENCE_MS = 50_000;

const errorAnswer = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

export interface ApiRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** Below `/api/v1`, for example `/machines`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly json?: unknown;
}

export interface Upload {
  readonly path: string;
  readonly content: Readable;
  readonly sizeBytes: number;
}

export class ApiClient {
  readonly #location: ServerLocation;
  readonly #interrupted: AbortSignal;
  readonly #agent: Agent;

  constructor(location: ServerLocation, interrupted: AbortSignal) {
    this.#location = location;
    this.#interrupted = interrupted;
    this.#agent = new Agent({
      connect: { timeout: 5000, ...(location.ca === undefined ? {} : { ca: location.ca }) },
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
    });
  }

  /** The JSON of the answer, not checked yet. Throws CliError unless the status is 2xx. */
  async call(request: ApiRequest): Promise<unknown> {
    const answer = await this.#send(request);
    const text = await this.#read(answer);
    if (answer.statusCode >= 300) throw this.#refusal(answer.statusCode, text);
    if (text === '') return {};
    return parseJson(text) ?? this.#fail('internal', 'The server answered with something that is not JSON');
  }

  /** Whether there is something at this path. */
  async exists(path: string): Promise<boolean> {
    const answer = await this.#send({ method: 'HEAD', path });
    await answer.body.dump();
    if (answer.statusCode === 404) return false;
    if (answer.statusCode >= 300) throw this.#refusal(answer.statusCode, '');
    return true;
  }

  async upload(upload: Upload): Promise<void> {
    const answer = await this.#dispatch({
      method: 'PUT',
      path: this.#pathOf(upload.path, {}),
      headers: {
        ...this.#headers(),
        'content-type': 'application/octet-stream',
        'content-length': String(upload.sizeBytes),
      },
      body: upload.content,
    });
    const text = await this.#read(answer);
    if (answer.statusCode >= 300) throw this.#refusal(answer.statusCode, text);
  }

  /** Bytes of an endless answer, as they come. */
  async stream(request: ApiRequest): Promise<AsyncIterable<Uint8Array>> {
    const answer = await this.#send(request, { bodyTimeout: STREAM_SILENCE_MS });
    if (answer.statusCode >= 300) throw this.#refusal(answer.statusCode, await this.#read(answer));
    return answer.body;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  #send(request: ApiRequest, options: { readonly bodyTimeout?: number } = {}): Promise<Dispatcher.ResponseData> {
    const hasBody = request.json !== undefined;
    return this.#dispatch({
      method: request.method,
      path: this.#pathOf(request.path, request.query ?? {}),
      headers: { ...this.#headers(), ...(hasBody ? { 'content-type': 'application/json' } : {}) },
      ...(hasBody ? { body: JSON.stringify(request.json) } : {}),
      ...options,
    });
  }

  async #dispatch(options: Dispatcher.DispatchOptions): Promise<Dispatcher.ResponseData> {
    try {
      return await this.#agent.request({ ...options, origin: this.#location.url, signal: this.#interrupted });
    } catch (cause) {
      throw this.#unreachable(cause);
    }
  }

  async #read(answer: Dispatcher.ResponseData): Promise<string> {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    try {
      for await (const chunk of bytesOf(answer.body)) {
        sizeBytes += chunk.length;
        if (sizeBytes > ANSWER_LIMIT_BYTES) break;
        chunks.push(Buffer.from(chunk));
      }
    } catch (cause) {
      throw this.#unreachable(cause);
    }
    if (sizeBytes > ANSWER_LIMIT_BYTES) return this.#fail('internal', 'The answer is far too large');
    return Buffer.concat(chunks).toString('utf8');
  }

  #headers(): Record<string, string> {
    return { authorization: `Bearer ${this.#location.token}`, accept: 'application/json' };
  }

  #pathOf(path: string, query: Readonly<Record<string, string | number | undefined>>): string {
    const words = Object.entries(query).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
    );
    return `/api/v1${path}${words.length === 0 ? '' : `?${words.join('&')}`}`;
  }

  #refusal(status: number, text: string): CliError {
    const parsed = errorAnswer.safeParse(parseJson(text));
    const { code, message } = parsed.success
      ? parsed.data.error
      : { code: 'internal', message: `The server answered with status ${status}.` };
    if (status !== 401) return new CliError(code, message);
    return new CliError(
      code,
      `The server at ${this.#location.url} does not take this admin token.\n` +
        `Fix: set MUSTER_TOKEN or MUSTER_TOKEN_FILE to the token in its data folder (file admin-token).`,
    );
  }

  #unreachable(cause: unknown): CliError {
    const code = errorCode(cause);
    const at = this.#location.url;
    if (this.#interrupted.aborted) return new CliError('interrupted', 'Interrupted.');
    if (/CERT|SIGNED|ISSUER|ALTNAME/.test(code)) {
      return new CliError(
        'server-untrusted',
        `The server at ${at} shows a certificate that the CA file does not vouch for (${code}).\n` +
          `Fix: copy ca.pem from that server's data folder and set MUSTER_CA_FILE to it; ` +
          `if the name is what is wrong, add it to api.names in its settings.`,
      );
    }
    if (/^(EPIPE|ECONNRESET|UND_ERR_SOCKET)$/.test(code)) {
      const reason = `The server at ${at} broke the connection off (${code}). Its log may say why.`;
      return new CliError('server-unreachable', reason, 1, { cause });
    }
    return new CliError(
      'server-unreachable',
      `No Muster server answers at ${at} (${code}).\n` +
        `Fix: start it (npm start), or set MUSTER_URL to where it is, for example https://192.0.2.10:8443.`,
      1,
      { cause },
    );
  }

  #fail(code: string, what: string): never {
    throw new CliError(code, `${what}: ${this.#location.url}`);
  }
}

/** undici types its body loosely; it yields bytes. */
async function* bytesOf(body: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) if (chunk instanceof Uint8Array) yield chunk;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Node's connection errors hold their code inside, or in the first of several attempts. */
function errorCode(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return errorCode(error.errors[0]);
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof Error && error.cause !== undefined) return errorCode(error.cause);
  return error instanceof Error ? error.message : String(error);
}
