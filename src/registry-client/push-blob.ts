// Brings one blob into a registry: asks first, then in pieces whose receipt the registry confirms, so that a broken connection
// costs one piece at most (distribution-spec "Pushing a blob in chunks", "Getting the status of an upload").
import type { Readable } from 'node:stream';
import type { Digest } from '../images/digest.ts';
import { ByteReader } from '../byte-reader.ts';
import { refusal } from './pull-blob.ts';
import { RegistryError } from './registry-error.ts';
import { drop, readBytes, type RegistryAnswer, type RegistryTransport } from './registry-transport.ts';

export interface BlobPush {
  /** `…/v2/<name>/`, with its slash. */
  readonly repositoryUrl: URL;
  readonly scopes: readonly string[];
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** The blob from `start` to its end; called again after each break. */
  readonly open: (start: number) => Promise<Readable> | Readable;
  /** Bytes of the blob that the registry has. */
  readonly onProgress?: (bytes: number) => void;
  readonly chunkBytes?: number;
}

export type BlobPushOutcome = 'exists' | 'pushed';

const CHUNK_BYTES = 64 * 1024 * 1024;
const MAX_BREAKS = 5;
/** Long: the digest of many gigabytes may be computed once all of them are there. */
const ANSWER_MS = 300_000;
const WORDS_BYTES = 64 * 1024;

/** Throws RegistryError. What `open` or its stream throws comes out as it is. */
export async function pushBlob(transport: RegistryTransport, push: BlobPush): Promise<BlobPushOutcome> {
  const { digest, scopes } = push;
  const url = new URL(`blobs/${digest}`, push.repositoryUrl);
  const head = await transport.send({ method: 'HEAD', url, scopes });
  await drop(head);
  if (head.status === 200) {
    push.onProgress?.(push.sizeBytes);
    return 'exists';
  }
  if (head.status !== 404) throw refusal(head.status, url, digest);
  const upload = new Upload(transport, push);
  try {
    return await upload.run();
  } finally {
    upload.close();
  }
}

class Upload {
  readonly #transport: RegistryTransport;
  readonly #push: BlobPush;
  #reader: ByteReader | undefined;
  #location: URL | undefined;
  #chunkBytes: number;
  /** Confirmed by the registry. */
  #offset = 0;

  constructor(transport: RegistryTransport, push: BlobPush) {
    this.#transport = transport;
    this.#push = push;
    this.#chunkBytes = push.chunkBytes ?? CHUNK_BYTES;
  }

  async run(): Promise<BlobPushOutcome> {
    await this.#begin();
    for (let breaks = 0; ;) {
      const before = this.#offset;
      try {
        await this.#sendRest();
        return 'pushed';
      } catch (error) {
        // What the source threw is no matter of the registry.
        if (
          !(error instanceof RegistryError) ||
          !['unreachable', 'unavailable', 'busy', 'unauthorised'].includes(error.reason)
        )
          throw error;
        breaks = this.#offset > before ? 1 : breaks + 1;
        if (breaks > MAX_BREAKS || (error.reason === 'unauthorised' && breaks > 1)) throw error;
        await this.#transport.pause(breaks);
        if (await this.#exists()) return 'pushed';
        await this.#resume();
      }
    }
  }

  close(): void {
    this.#reader?.close();
    this.#reader = undefined;
  }

  async #begin(): Promise<void> {
    const { repositoryUrl, digest } = this.#push;
    const url = new URL('blobs/uploads/', repositoryUrl);
    const answer = await this.#transport.send({
      method: 'POST',
      url,
      headers: { 'content-length': '0' },
      scopes: this.#push.scopes,
    });
    const words = await wordsOf(answer);
    if (answer.status !== 202) throw refusal(answer.status, url, `an upload of ${digest}`, words);
    this.#follow(answer, url);
    const least = Number(answer.header('oci-chunk-min-length') ?? 0);
    if (Number.isSafeInteger(least)) this.#chunkBytes = Math.max(this.#chunkBytes, least);
    this.#offset = 0;
  }

  /** What fits into one piece goes along with the closing request. */
  async #sendRest(): Promise<void> {
    const { sizeBytes, digest } = this.#push;
    const isWhole = this.#offset === 0 && sizeBytes <= this.#chunkBytes;
    while (!isWhole && this.#offset < sizeBytes) await this.#sendChunk();
    const url = this.#where();
    url.searchParams.set('digest', digest);
    const { status, words } = await this.#sendPiece('PUT', url, isWhole ? sizeBytes : 0);
    if (status === 201 || status === 204) return;
    // A repeated PUT finds the upload gone where the first one's answer was lost.
    if (status === 404 && (await this.#exists())) return;
    throw refusal(status, url, digest, words);
  }

  async #sendChunk(): Promise<void> {
    const { sizeBytes, digest } = this.#push;
    const url = this.#where();
    const length = Math.min(this.#chunkBytes, sizeBytes - this.#offset);
    const end = this.#offset + length - 1;
    const range = { 'content-range': `${this.#offset}-${end}` };
    const { status, words, answer } = await this.#sendPiece('PATCH', url, length, range);
    // 416: the registry stands elsewhere than we think, which its status tells.
    if (status === 416) throw new RegistryError('unavailable', `${url.host} lost count of ${digest}.`);
    if (status !== 202 && status !== 201) throw refusal(status, url, `a part of ${digest}`, words);
    this.#follow(answer, url);
    this.#offset = end + 1;
  }

  async #sendPiece(
    method: 'PATCH' | 'PUT',
    url: URL,
    length: number,
    more: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly status: number; readonly words: string; readonly answer: RegistryAnswer }> {
    const { scopes } = this.#push;
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(length), ...more };
    if (length === 0) {
      const answer = await this.#transport.send({ method, url, headers, scopes, answerMs: ANSWER_MS });
      return { status: answer.status, words: await wordsOf(answer), answer };
    }
    const reader = (this.#reader ??= new ByteReader(await this.#push.open(this.#offset)));
    const body = reader.take(length, (bytes) => this.#push.onProgress?.(this.#offset + bytes));
    try {
      const answer = await this.#transport.send({ method, url, headers, body, scopes, answerMs: ANSWER_MS });
      const words = await wordsOf(answer);
      return { status: answer.status, words, answer };
    } catch (cause) {
      throw reader.failure ?? cause;
    }
  }

  /** Goes on where the registry stands, or from the start where it has forgotten the upload. */
  async #resume(): Promise<void> {
    this.close();
    const url = this.#where();
    const answer = await this.#transport.send({ method: 'GET', url, scopes: this.#push.scopes });
    await drop(answer);
    const [, end] = /^(?:bytes=)?0-(\d+)$/.exec(answer.header('range') ?? '') ?? [];
    // An empty upload says `0-0` at many registries, as one of a single byte does: too few to be sure of either.
    const confirmed = end === undefined || end === '0' ? undefined : Number(end) + 1;
    if (answer.status !== 204 || confirmed === undefined || confirmed > this.#push.sizeBytes) await this.#begin();
    else {
      this.#follow(answer, url);
      this.#offset = confirmed;
    }
    this.#push.onProgress?.(this.#offset);
  }

  async #exists(): Promise<boolean> {
    const url = new URL(`blobs/${this.#push.digest}`, this.#push.repositoryUrl);
    const answer = await this.#transport.send({ method: 'HEAD', url, scopes: this.#push.scopes });
    await drop(answer);
    return answer.status === 200;
  }

  #follow(answer: RegistryAnswer, url: URL): void {
    const location = answer.header('location');
    const next = location === undefined ? undefined : URL.parse(location, url.href);
    if (next !== undefined && next !== null && /^https?:$/.test(next.protocol)) this.#location = next;
  }

  #where(): URL {
    if (this.#location === undefined)
      throw new RegistryError('invalid-answer', 'The registry began an upload without saying where.');
    return new URL(this.#location);
  }
}

async function wordsOf(answer: RegistryAnswer): Promise<string> {
  const text = (await readBytes(answer, WORDS_BYTES).catch(() => Buffer.alloc(0))).toString('utf8');
  return describeErrors(text);
}

/** The registry's own words: `{"errors":[{"code","message"}]}` (distribution-spec "Error Codes"). */
export function describeErrors(text: string): string {
  const found = [...text.matchAll(/"(?:code|message)"\s*:\s*"((?:[^"\\]|\\.){1,200})"/g)].slice(0, 4);
  return found.map(([, word = '']) => word.replaceAll(/[^\x20-\x7e]/g, '?')).join(' ');
}
