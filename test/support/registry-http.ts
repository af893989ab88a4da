// A client of the registry's HTTP API by inject(), as an administrator, with the few steps that many tests begin with.
import { randomBytes } from 'node:crypto';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { expect } from 'vitest';
import type { HttpApp } from '../../src/http/http-app.ts';
import { aContent, aManifest, digestOf, OCI_CONFIG, OCI_LAYER, type Content } from './oci-layout.ts';

export const ALGORITHMS = ['sha256', 'sha512'] as const;
export const REPO = 'fleet/os';
export const OTHER = 'other/place/os';
export const CONFIG = aContent('{"architecture":"amd64","os":"linux"}', OCI_CONFIG);
export const LAYER = aContent('the bytes of a layer', OCI_LAYER);
export const IMAGE = aManifest(CONFIG, [LAYER]);

export function aBlob(size = 2_048, algorithm: (typeof ALGORITHMS)[number] = 'sha256'): Content {
  return aContent(randomBytes(size), 'application/octet-stream', algorithm);
}

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
type Query = Readonly<Record<string, string | readonly string[]>>;

const OCTETS = { 'content-type': 'application/octet-stream' };

export class RegistryHttp {
  readonly #app: HttpApp;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(app: HttpApp, headers: Readonly<Record<string, string>>) {
    this.#app = app;
    this.#headers = headers;
  }

  /** `path` is what stands behind /v2/, or an address that an answer gave. */
  call(
    method: Method,
    path: string,
    rest: Pick<InjectOptions, 'payload' | 'headers'> & { query?: Query } = {},
  ): Promise<LightMyRequestResponse> {
    const { query, ...options } = rest;
    const url = path.startsWith('/v2') ? path : `/v2/${path}`;
    const words = new URLSearchParams();
    for (const [key, value] of Object.entries(query ?? {})) for (const each of [value].flat()) words.append(key, each);
    const search = words.size === 0 ? '' : `?${words.toString()}`;
    return this.#app.inject({
      ...{ method, url: url + search },
      ...options,
      headers: { ...this.#headers, ...options.headers },
    });
  }

  /** Opens an upload; its address. */
  async start(repository: string, query: Query = {}): Promise<string> {
    const started = await this.call('POST', `${repository}/blobs/uploads/`, { query });
    if (started.statusCode !== 202) throw new Error(`expected an upload, got ${started.statusCode}: ${started.body}`);
    return String(started.headers.location);
  }

  patch(upload: string, payload: Buffer, range?: string): Promise<LightMyRequestResponse> {
    return this.call('PATCH', upload, { payload, headers: { ...OCTETS, ...(range && { 'content-range': range }) } });
  }

  /** Closes an upload, with a last chunk where there is one. */
  finish(upload: string, digest: string, payload?: Buffer, range?: string): Promise<LightMyRequestResponse> {
    const headers = { ...OCTETS, ...(range && { 'content-range': range }) };
    return this.call('PUT', upload, { query: { digest }, ...(payload ? { payload, headers } : {}) });
  }

  /** Pushes blobs by POST and PUT, and fails where one is not taken. */
  async push(repository: string, ...contents: readonly Pick<Content, 'digest' | 'bytes'>[]): Promise<void> {
    for (const { digest, bytes } of contents) {
      const stored = await this.finish(await this.start(repository), digest, bytes);
      if (stored.statusCode !== 201) throw new Error(`${digest} was not taken: ${stored.body}`);
    }
  }

  putManifest(
    repository: string,
    reference: string,
    { bytes, mediaType }: Pick<Content, 'bytes' | 'mediaType'>,
    query: Query = {},
  ): Promise<LightMyRequestResponse> {
    const headers = { 'content-type': mediaType };
    return this.call('PUT', `${repository}/manifests/${reference}`, { payload: bytes, headers, query });
  }

  /** IMAGE as `v1` of REPO. */
  async pushImage(): Promise<void> {
    await this.push(REPO, CONFIG, LAYER);
    expect((await this.putManifest(REPO, 'v1', IMAGE)).statusCode).toBe(201);
  }

  async expectBlob({ digest, bytes }: Content, repository = REPO): Promise<void> {
    const pulled = await this.call('GET', `${repository}/blobs/${digest}`);
    expect([pulled.statusCode, pulled.rawPayload.equals(bytes)]).toEqual([200, true]);
  }
}

/** The codes of a failure's body (distribution-spec "Error Codes"). */
export function codesOf(answer: LightMyRequestResponse): readonly string[] {
  const body = answer.json<{ errors: { code: string; message: string; detail: object }[] }>();
  return body.errors.map(({ code }) => code);
}

/** A digest that nothing has. */
export const NOWHERE = digestOf(Buffer.from('nothing has this digest'));
