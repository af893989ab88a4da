// A registry with faults: a real HTTP server over maps, which breaks off, lies, redirects or asks for tokens as a test wants it.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseDigest, type Digest } from '../../../src/images/digest.ts';

export function sha256Digest(bytes: Uint8Array | string): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)!;
}

/** Lets time pass at once. */
export const IMPATIENT = {
  clock: { now: () => Date.now() },
  scheduler: {
    after: (_milliseconds: number, action: () => void) => {
      const timer = setImmediate(action);
      return () => {
        clearImmediate(timer);
      };
    },
  },
};

type Fault = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

export class FakeRegistry {
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, { readonly mediaType: string; readonly content: Buffer }>();
  readonly requests: { readonly line: string; readonly headers: IncomingMessage['headers'] }[] = [];
  /** Asked first; true where it has answered. */
  fault: Fault = () => false;
  auth: 'none' | 'basic' | 'token' = 'none';
  /** Breaks a download or an upload off after so many bytes, so many times. */
  breakAfter: { bytes: number; times: number } | undefined;
  ignoreRange = false;
  readonly #uploads = new Map<string, Buffer>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  #count = 0;

  static async start(): Promise<FakeRegistry> {
    const registry = new FakeRegistry();
    registry.#server.listen(0, '127.0.0.1');
    await once(registry.#server, 'listening');
    return registry;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** Paths of the requests of this method, in order. */
  lines(method: string): readonly string[] {
    return this.requests.flatMap(({ line }) => (line.startsWith(`${method} `) ? [line.slice(method.length + 1)] : []));
  }

  addBlob(repository: string, content: Buffer): Digest {
    const digest = sha256Digest(content);
    this.blobs.set(`${repository} ${digest}`, content);
    return digest;
  }

  addManifest(
    repository: string,
    tag: string | undefined,
    manifest: Record<string, unknown> & { mediaType: string },
  ): Digest {
    const content = Buffer.from(JSON.stringify(manifest));
    const digest = sha256Digest(content);
    for (const name of [digest, ...(tag === undefined ? [] : [tag])])
      this.manifests.set(`${repository} ${name}`, { mediaType: manifest.mediaType, content });
    return digest;
  }

  /** An image of one config and these layers. */
  addImage(repository: string, tag: string | undefined, layers: readonly Buffer[], more: object = {}): Digest {
    const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', tag }));
    const described = (content: Buffer, mediaType: string) => ({
      mediaType,
      digest: this.addBlob(repository, content),
      size: content.length,
    });
    return this.addManifest(repository, tag, {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: described(config, 'application/vnd.oci.image.config.v1+json'),
      layers: layers.map((layer) => described(layer, 'application/vnd.oci.image.layer.v1.tar+gzip')),
      ...more,
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.url);
    this.requests.push({ line: `${request.method ?? ''} ${request.url ?? ''}`, headers: request.headers });
    try {
      if (await this.fault(request, response)) return;
      if (url.pathname === '/token') this.#token(request, response, url);
      else if (this.#isAllowed(request, response, url)) await this.#route(request, response, url);
    } catch {
      response.destroy();
    }
  }

  #token(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const known = request.headers.authorization === `Basic ${Buffer.from('ada:secret').toString('base64')}`;
    const token = Buffer.from(url.searchParams.getAll('scope').join(' ')).toString('base64url');
    response.writeHead(known ? 200 : 401).end(JSON.stringify({ token }));
  }

  #isAllowed(request: IncomingMessage, response: ServerResponse, url: URL): boolean {
    const [scheme, value = ''] = (request.headers.authorization ?? '').split(' ');
    if (this.auth === 'none') return true;
    if (this.auth === 'basic') {
      if (scheme === 'Basic' && Buffer.from(value, 'base64').toString() === 'ada:secret') return true;
      response.writeHead(401, { 'www-authenticate': 'Basic realm="fake, with a comma"' }).end();
      return false;
    }
    const repository = /^\/v2\/(.+?)\/(?:blobs|manifests|tags|referrers)\//.exec(url.pathname)?.[1] ?? '';
    const action = request.method === 'GET' || request.method === 'HEAD' ? 'pull' : 'push';
    const scopes = Buffer.from(value, 'base64url').toString();
    if (scheme === 'Bearer' && scopes.includes(`repository:${repository}:`) && scopes.includes(action)) return true;
    const challenge = `Bearer realm="${this.url}/token",service="fake",scope="repository:${repository}:${action}"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
    return false;
  }

  async #route(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const [, repository = '', kind = '', name = ''] =
      /^\/v2\/(?:(.+?)\/(blobs\/uploads|blobs|manifests|tags|referrers)\/(.*))?$/.exec(url.pathname) ?? [];
    if (kind === '') return void response.writeHead(200).end('{}');
    if (kind === 'blobs/uploads') return this.#upload(request, response, url, repository, name);
    if (kind === 'blobs') {
      this.#blob(request, response, this.blobs.get(`${repository} ${name}`));
      return;
    }
    if (kind === 'manifests' && request.method === 'PUT') {
      const content = await bodyOf(request);
      const digest = sha256Digest(content);
      const mediaType = request.headers['content-type'] ?? '';
      for (const key of [digest, name]) this.manifests.set(`${repository} ${key}`, { mediaType, content });
      return void response.writeHead(201, { 'docker-content-digest': digest }).end();
    }
    if (kind === 'manifests') {
      const found = this.manifests.get(`${repository} ${name}`);
      if (found === undefined) return void response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
      const headers = { 'content-type': found.mediaType, 'docker-content-digest': sha256Digest(found.content) };
      return void response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : found.content);
    }
    if (kind === 'tags') {
      this.#tags(response, url, repository);
      return;
    }
    return void response.writeHead(404).end();
  }

  #tags(response: ServerResponse, url: URL, repository: string): void {
    const names = [...this.manifests.keys()].flatMap((key) => {
      const [owner, name = ''] = key.split(' ');
      return owner === repository && !name.includes(':') ? [name] : [];
    });
    const after = url.searchParams.get('last') ?? '';
    const page = names
      .sort()
      .filter((name) => name > after)
      .slice(0, 2);
    const link = { link: `</v2/${repository}/tags/list?last=${page.at(-1) ?? ''}>; rel="next"` };
    response.writeHead(200, page.length === 2 ? link : {}).end(JSON.stringify({ name: repository, tags: page }));
  }

  #blob(request: IncomingMessage, response: ServerResponse, content: Buffer | undefined): void {
    if (content === undefined) return void response.writeHead(404).end();
    if (request.method === 'HEAD') return void response.writeHead(200, { 'content-length': content.length }).end();
    const start = this.ignoreRange ? undefined : /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
    const body = content.subarray(Number(start ?? 0));
    response.writeHead(start === undefined ? 200 : 206, {
      'content-length': body.length,
      ...(start !== undefined && { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` }),
    });
    const broken = this.breakAfter;
    if (broken === undefined || broken.times === 0 || broken.bytes >= body.length) return void response.end(body);
    broken.times -= 1;
    response.write(body.subarray(0, broken.bytes), () => {
      setTimeout(() => response.destroy(), 20);
    });
  }

  async #upload(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    repository: string,
    id: string,
  ): Promise<void> {
    const where = (upload: string) => ({ location: `/v2/${repository}/blobs/uploads/${upload}?state=x` });
    if (request.method === 'POST') {
      const mount = url.searchParams.get('mount') ?? '';
      const mounted = this.blobs.get(`${url.searchParams.get('from') ?? ''} ${mount}`);
      if (mounted !== undefined) {
        this.blobs.set(`${repository} ${mount}`, mounted);
        return void response.writeHead(201).end();
      }
      this.#count += 1;
      this.#uploads.set(String(this.#count), Buffer.alloc(0));
      return void response.writeHead(202, where(String(this.#count))).end();
    }
    const known = this.#uploads.get(id);
    if (known === undefined) return void response.writeHead(404).end('{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}');
    if (request.method === 'GET') {
      return void response.writeHead(204, { ...where(id), range: `0-${Math.max(0, known.length - 1)}` }).end();
    }
    const [start] = (request.headers['content-range'] ?? String(known.length)).split('-');
    if (Number(start) !== known.length) return void response.writeHead(416, where(id)).end();
    const received = Buffer.concat([known, await bodyOf(request, this.breakAfter)]);
    this.#uploads.set(id, received);
    if (this.breakAfter !== undefined && this.breakAfter.times > 0 && received.length > known.length) {
      this.breakAfter.times -= 1;
      return void response.destroy();
    }
    if (request.method === 'PATCH') return void response.writeHead(202, where(id)).end();
    this.#uploads.delete(id);
    const digest = url.searchParams.get('digest') ?? '';
    if (sha256Digest(received) !== digest)
      return void response.writeHead(400).end('{"errors":[{"code":"DIGEST_INVALID","message":"other bytes"}]}');
    this.blobs.set(`${repository} ${digest}`, received);
    response.writeHead(201).end();
  }
}

/** Whole, or the first part where the connection is to break. */
async function bodyOf(request: IncomingMessage, cut?: { bytes: number; times: number }): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const whole = Buffer.concat(chunks);
  return cut !== undefined && cut.times > 0 ? whole.subarray(0, cut.bytes) : whole;
}
