// A client of the registry that takes no second chance: what a request was answered with is what it says, so that a test knows
// what was acknowledged and what was not. (src/registry-client tries again, which would hide just that.)
import { Client, type Dispatcher } from 'undici';
import type { Digest } from '../../src/images/digest.ts';
import { digestOf, type Content } from './oci-layout.ts';
import type { ServerAccess } from './registry-server.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** An answer that the registry must not give: the test has failed. A connection that broke is any other error. */
export class UnexpectedAnswer extends Error {}

interface Named {
  readonly digest: string;
}

export type PushMode = 'one-request' | 'post-put' | 'chunked';
const OCTETS = { 'content-type': 'application/octet-stream' };
const CHUNKS = 3;

export class LoadClient {
  readonly #client: Client;
  readonly #authorization: string;

  /** `localAddress` in 127.0.0.0/8: the server counts requests by address. */
  constructor({ url, token, ca }: ServerAccess, localAddress: string) {
    this.#client = new Client(url, { connect: { ca }, localAddress, pipelining: 1 });
    this.#authorization = `Basic ${Buffer.from(`load:${token}`).toString('base64')}`;
  }

  async send(
    method: Dispatcher.HttpMethod,
    path: string,
    body?: Buffer,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const answer = await this.#client.request({
      ...{ method, path },
      ...(body !== undefined && { body }),
      headers: { authorization: this.#authorization, ...headers },
    });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    return { status: answer.statusCode, headers: answer.headers, body: bytes };
  }

  /** As an administrator, below /api/v1. */
  async api(method: Dispatcher.HttpMethod, path: string, body?: object): Promise<unknown> {
    const authorization = `Bearer ${Buffer.from(this.#authorization.slice(6), 'base64').toString().slice(5)}`;
    const headers = { authorization, ...(body !== undefined && { 'content-type': 'application/json' }) };
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const answer = await this.send(method, `/api/v1${path}`, bytes, headers);
    expectStatus(answer, [200, 202, 204], `${method} ${path}`);
    return answer.body.length === 0 ? undefined : JSON.parse(answer.body.toString());
  }

  async hasBlob(repository: string, digest: Digest): Promise<boolean> {
    const answer = await this.send('HEAD', `/v2/${repository}/blobs/${digest}`);
    expectStatus(answer, [200, 404], `HEAD ${repository} ${digest}`);
    return answer.status === 200;
  }

  /** Resolves once the registry has said that it has the blob. `onChunk` hears of each part that was acknowledged before. */
  async pushBlob(
    repository: string,
    { digest, bytes }: Content,
    mode: PushMode,
    onChunk: (location: string, offset: number) => void = () => undefined,
  ): Promise<void> {
    const uploads = `/v2/${repository}/blobs/uploads/`;
    if (mode === 'one-request') {
      expectStatus(await this.send('POST', `${uploads}?digest=${digest}`, bytes, OCTETS), [201], 'POST ?digest=');
      return;
    }
    const started = await this.send('POST', uploads);
    expectStatus(started, [202], 'POST uploads');
    const location = locationOf(started);
    if (mode === 'post-put') {
      await this.finishUpload(location, digest, bytes);
      return;
    }
    const step = Math.max(1, Math.ceil(bytes.length / CHUNKS));
    for (let start = 0; start < bytes.length; start += step) {
      const chunk = bytes.subarray(start, start + step);
      await this.patchUpload(location, chunk, start);
      onChunk(location, start + chunk.length);
    }
    await this.finishUpload(location, digest);
  }

  async patchUpload(location: string, chunk: Buffer, start: number): Promise<void> {
    const headers = { ...OCTETS, 'content-range': `${start}-${start + chunk.length - 1}` };
    expectStatus(await this.send('PATCH', location, chunk, headers), [202], `PATCH from ${start}`);
  }

  async finishUpload(location: string, digest: Digest, rest?: Buffer): Promise<void> {
    const finished = await this.send('PUT', `${location}?digest=${digest}`, rest, rest === undefined ? {} : OCTETS);
    expectStatus(finished, [201], 'PUT upload');
  }

  /** Bytes that an upload has; undefined where there is none. */
  async uploadOffset(location: string): Promise<number | undefined> {
    const answer = await this.send('GET', location);
    expectStatus(answer, [204, 404], 'GET upload');
    if (answer.status === 404) return undefined;
    const last = Number(/^0-(\d+)$/.exec(String(answer.headers.range))?.[1]);
    return last === 0 ? 0 : last + 1;
  }

  async mountBlob(repository: string, digest: Digest, from: string): Promise<boolean> {
    const answer = await this.send('POST', `/v2/${repository}/blobs/uploads/?mount=${digest}&from=${from}`);
    expectStatus(answer, [201, 202], 'POST ?mount=');
    if (answer.status === 202) expectStatus(await this.send('DELETE', locationOf(answer)), [204], 'DELETE upload');
    return answer.status === 201;
  }

  async pushManifest(repository: string, reference: string, { bytes, mediaType }: Content): Promise<void> {
    const path = `/v2/${repository}/manifests/${reference}`;
    expectStatus(await this.send('PUT', path, bytes, { 'content-type': mediaType }), [201], `PUT ${path}`);
  }

  /** Undefined where there is no such manifest. */
  async pullManifest(repository: string, reference: string): Promise<Buffer | undefined> {
    const path = `/v2/${repository}/manifests/${reference}`;
    const answer = await this.send('GET', path, undefined, { accept: '*/*' });
    expectStatus(answer, [200, 404], `GET ${path}`);
    return answer.status === 404 ? undefined : answer.body;
  }

  /** Undefined where there is no such blob. */
  async pullBlob(repository: string, digest: string): Promise<Buffer | undefined> {
    const answer = await this.send('GET', `/v2/${repository}/blobs/${digest}`);
    expectStatus(answer, [200, 404], `GET ${repository} ${digest}`);
    return answer.status === 404 ? undefined : answer.body;
  }

  /** Everything that the manifest names, checked against its digest; answers how many bytes. */
  async pullContents(repository: string, manifest: Buffer): Promise<number> {
    const { config, layers } = JSON.parse(manifest.toString()) as Record<'config', Named> & Record<'layers', Named[]>;
    let sizeBytes = 0;
    for (const { digest } of [config, ...layers]) {
      const bytes = await this.pullBlob(repository, digest);
      if (bytes === undefined) throw new UnexpectedAnswer(`${repository} has no ${digest}`);
      if (digestOf(bytes) !== digest) throw new UnexpectedAnswer(`${repository} has other bytes for ${digest}`);
      sizeBytes += bytes.length;
    }
    return sizeBytes;
  }

  async delete(repository: string, reference: string): Promise<void> {
    const path = `/v2/${repository}/manifests/${reference}`;
    expectStatus(await this.send('DELETE', path), [202], `DELETE ${path}`);
  }

  close(): Promise<void> {
    return this.#client.destroy();
  }
}

function locationOf({ headers }: Answer): string {
  const location = String(headers.location);
  return location.startsWith('http') ? new URL(location).pathname : location;
}

function expectStatus(answer: Answer, wanted: readonly number[], what: string): void {
  if (wanted.includes(answer.status)) return;
  throw new UnexpectedAnswer(`${what}: ${answer.status} ${answer.body.toString().slice(0, 300)}`);
}
