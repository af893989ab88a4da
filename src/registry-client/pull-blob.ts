// Reads one blob as a stream that is whole or fails: goes on by Range where a connection broke (RFC 9110 §14), and withholds its
// end until the digest is found right.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { digestParts, type Digest } from '../images/digest.ts';
import { asRegistryError, RegistryError } from './registry-error.ts';
import { bytesOf, drop, type RegistryAnswer, type RegistryTransport } from './registry-transport.ts';

export interface BlobRequest {
  readonly url: URL;
  readonly digest: Digest;
  readonly scopes: readonly string[];
  /** Bytes that the caller has already. Only a blob read from 0 can be verified here. */
  readonly offset: number;
  readonly limitBytes: number;
  /** False where the caller compares the digest itself. */
  readonly isVerified: boolean;
}

export interface PulledBlob {
  /** Of the whole blob; undefined where the registry does not tell. */
  readonly sizeBytes: number | undefined;
  readonly content: Readable;
}

const MAX_REDIRECTS = 5;
/** Long: a pull-through cache may have to fetch and verify a layer before its first byte. */
const ANSWER_MS = 110_000;
/** So many breaks in a row with next to nothing between them end the transfer. */
const MAX_BREAKS = 5;
const PROGRESS_BYTES = 1024 * 1024;

/** Undefined where there is no such blob. Throws RegistryError before the first byte; later it comes as the stream's error. */
export async function pullBlob(transport: RegistryTransport, request: BlobRequest): Promise<PulledBlob | undefined> {
  const first = await openPart(transport, request, request.offset);
  if (first === undefined) return undefined;
  if (first.sizeBytes !== undefined && first.sizeBytes > request.limitBytes) {
    first.answer.body.destroy();
    throw new RegistryError('too-large', `${request.digest} is larger than ${request.limitBytes} bytes.`);
  }
  const parts = wholeBlob(transport, request, first);
  return { sizeBytes: first.sizeBytes, content: Readable.from(parts, { objectMode: false }) };
}

interface OpenPart {
  readonly answer: RegistryAnswer;
  /** Bytes to throw away: the registry began at 0 although it was asked for a part. */
  readonly skip: number;
  readonly sizeBytes: number | undefined;
}

async function* wholeBlob(
  transport: RegistryTransport,
  request: BlobRequest,
  first: OpenPart,
): AsyncGenerator<Uint8Array> {
  const hash =
    request.isVerified && request.offset === 0 ? createHash(digestParts(request.digest).algorithm) : undefined;
  let position = request.offset;
  let breaks = 0;
  let lastBreakAt = position;
  let held: Uint8Array | undefined;
  for (let part: OpenPart | undefined = first; ;) {
    try {
      if (part === undefined) throw new RegistryError('not-found', `${request.digest} has gone from the registry.`);
      for await (const chunk of skipping(part)) {
        position += chunk.length;
        if (position > Math.min(request.limitBytes, first.sizeBytes ?? Infinity))
          throw new RegistryError('too-large', `${request.digest} is larger than it was said to be.`);
        hash?.update(chunk);
        if (held !== undefined) yield held;
        held = chunk;
      }
      if (first.sizeBytes === undefined || position === first.sizeBytes) break;
      throw new RegistryError('unreachable', `${request.digest} broke off.`);
    } catch (cause) {
      const error = asRegistryError(cause, request.url.host);
      if (position - lastBreakAt >= PROGRESS_BYTES) breaks = 0;
      breaks += 1;
      lastBreakAt = position;
      if (error.reason !== 'unreachable' || breaks > MAX_BREAKS) throw error;
    } finally {
      part?.answer.body.destroy();
    }
    await transport.pause(breaks);
    part = await openPart(transport, request, position);
  }
  if (hash !== undefined && hash.digest('hex') !== digestParts(request.digest).hex)
    throw new RegistryError('digest-mismatch', `${request.url.host} sent other bytes than ${request.digest}.`);
  if (held !== undefined) yield held;
}

async function* skipping(part: OpenPart): AsyncGenerator<Uint8Array> {
  let skip = part.skip;
  for await (const chunk of bytesOf(part.answer.body)) {
    const rest = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - rest.length;
    if (rest.length > 0) yield rest;
  }
}

async function openPart(
  transport: RegistryTransport,
  request: BlobRequest,
  offset: number,
): Promise<OpenPart | undefined> {
  const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
  const answer = await followRedirects(transport, request, headers);
  const sizeText = answer.header('content-length');
  if (answer.status === 200) return { answer, skip: offset, sizeBytes: sizeText === undefined ? undefined : +sizeText };
  const [, start, , total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.header('content-range') ?? '') ?? [];
  if (answer.status === 206 && Number(start) === offset) return { answer, skip: 0, sizeBytes: Number(total) };
  // §15.5.17: exactly all of it is here already.
  const [, whole] = /^bytes \*\/(\d+)$/.exec(answer.header('content-range') ?? '') ?? [];
  if (answer.status === 416 && Number(whole) === offset) return { answer, skip: Infinity, sizeBytes: offset };
  await drop(answer);
  if (answer.status === 404) return undefined;
  throw refusal(answer.status, request.url, request.digest);
}

/** Blobs may lie elsewhere (distribution-spec "Pulling blobs"). Each time from the start: such addresses end soon. */
async function followRedirects(
  transport: RegistryTransport,
  { url, scopes }: BlobRequest,
  headers: Readonly<Record<string, string>>,
): Promise<RegistryAnswer> {
  let at = url;
  for (let count = 0; count <= MAX_REDIRECTS; count += 1) {
    const answer = await transport.send({ method: 'GET', url: at, headers, scopes, answerMs: ANSWER_MS });
    if (![301, 302, 303, 307, 308].includes(answer.status)) return answer;
    const next = URL.parse(answer.header('location') ?? '', at.href);
    await drop(answer);
    if (next === null || !/^https?:$/.test(next.protocol))
      throw new RegistryError('invalid-answer', `${at.host} points to an address that is none.`);
    at = next;
  }
  throw new RegistryError('invalid-answer', `${url.host} points from address to address.`);
}

/** The failure behind a status that no caller expects. */
export function refusal(status: number, url: URL, what: string, words = ''): RegistryError {
  const said = words === '' ? '' : `: ${words}`;
  if (status === 401 || status === 403)
    return new RegistryError(
      'unauthorised',
      `${url.host} does not let this user have ${what} (status ${status})${said}.`,
    );
  if (status === 404) return new RegistryError('not-found', `${url.host} has no ${what}${said}.`);
  if (status === 429) return new RegistryError('busy', `${url.host} asks to come back later for ${what}${said}.`);
  if (status >= 500)
    return new RegistryError('unavailable', `${url.host} cannot answer for ${what} (status ${status})${said}.`);
  return new RegistryError('refused', `${url.host} refuses ${what} (status ${status})${said}.`);
}
