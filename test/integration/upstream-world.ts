// Two registries over HTTP: a central one, and one in a rack that has it as its upstream. Both over file stores.
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import type { HttpApp } from '../../src/http/http-app.ts';
import { handleError } from '../../src/http/error-handler.ts';
import { WebSessions } from '../../src/http/web-sessions.ts';
import { registryRoutes, type RegistryRouteParts } from '../../src/http/routes/registry.ts';
import type { BlobStore } from '../../src/images/blob-store.ts';
import { RegistryService } from '../../src/images/registry/registry-service.ts';
import type { RegistryStore } from '../../src/images/registry/registry-store.ts';
import { cachedRegistry, UpstreamCache, type UpstreamReport } from '../../src/images/upstream/upstream-cache.ts';
import { SystemRandom, SystemScheduler } from '../../src/platform/clock.ts';
import { openUpstream } from '../../src/registry-client/open-upstream.ts';
import { RegistryClient } from '../../src/registry-client/registry-client.ts';
import { IMPATIENT } from '../unit/registry-client/fake-registry.ts';
import { digestBytes } from '../../src/storage/digest-bytes.ts';
import { openFileBlobStore } from '../../src/storage/files/file-blob-store.ts';
import { openFileUploadStore } from '../../src/storage/files/file-upload-store.ts';
import { MemoryRegistryStore } from '../../src/storage/memory/memory-registry-store.ts';

const TOKEN = 'the-admin-token-of-this-test';
const CREDENTIALS = { username: 'muster', password: TOKEN };

export interface Site {
  readonly folder: string;
  readonly store: RegistryStore;
  readonly blobs: BlobStore;
  readonly registry: RegistryService;
  /** Requests that reached it: `GET /v2/…`. */
  readonly requests: string[];
  readonly url: string;
  stop(): Promise<void>;
}

export interface Rack extends Site {
  readonly reports: UpstreamReport[];
  readonly cache: UpstreamCache;
}

/** Time as the tests want it: `skip` lets look-ups grow old. */
class MovableClock {
  #skippedMs = 0;
  now(): number {
    return Date.now() + this.#skippedMs;
  }
  skip(milliseconds: number): void {
    this.#skippedMs += milliseconds;
  }
}

export class UpstreamWorld {
  readonly clock = new MovableClock();
  readonly #undo: (() => Promise<unknown>)[] = [];

  async central(): Promise<Site> {
    const parts = await this.#parts('central-');
    return this.#serve(parts, parts.registry);
  }

  async rack(
    upstreamUrl: string,
    options: { folder?: string; prefix?: string; store?: RegistryStore } = {},
  ): Promise<Rack> {
    const parts = await this.#parts('rack-', options.folder, options.store);
    const { clock } = this;
    const scheduler = new SystemScheduler();
    const credentials = CREDENTIALS;
    const upstream = openUpstream({
      ...{ url: upstreamUrl, credentials, clock, blobLimitBytes: 1024 ** 3 },
      scheduler: IMPATIENT.scheduler,
    });
    this.#undo.push(() => upstream.close());
    const reports: UpstreamReport[] = [];
    const upstreams = [{ prefix: options.prefix ?? '', registry: upstream }];
    const onReport = (report: UpstreamReport) => reports.push(report);
    const { registry } = parts;
    const cache = new UpstreamCache({ ...{ registry, clock, scheduler, upstreams, onReport }, pieceBytes: 500_000 });
    return { ...(await this.#serve(parts, cachedRegistry(parts.registry, cache))), reports, cache };
  }

  /** A client that does not wait before it tries again. */
  client(site: Pick<Site, 'url'>): RegistryClient {
    const { scheduler } = IMPATIENT;
    const client = new RegistryClient({ url: site.url, credentials: CREDENTIALS, clock: this.clock, scheduler });
    this.#undo.push(() => client.close());
    return client;
  }

  async close(): Promise<void> {
    for (const action of this.#undo.splice(0).reverse()) await action();
  }

  async #parts(name: string, known?: string, knownStore?: RegistryStore) {
    const folder = known ?? (await mkdtemp(join(tmpdir(), `muster-upstream-${name}`)));
    await mkdir(folder, { recursive: true });
    if (known === undefined) this.#undo.push(() => rm(folder, { recursive: true }));
    const { clock } = this;
    const directory = join(folder, 'blobs');
    const blobs = await openFileBlobStore(directory);
    const store = knownStore ?? new MemoryRegistryStore();
    const registry = new RegistryService({
      ...{ store, blobs, clock, digestBytes },
      uploads: await openFileUploadStore({ directory, clock }),
      pinned: () => Promise.resolve(new Set()),
      limits: { blobBytes: 1024 ** 3 },
    });
    return { folder, store, blobs, registry };
  }

  async #serve(
    parts: { folder: string; store: RegistryStore; blobs: BlobStore; registry: RegistryService },
    served: RegistryRouteParts['registry'],
  ): Promise<Site> {
    const app = fastify() as unknown as HttpApp;
    app.setValidatorCompiler(validatorCompiler);
    app.setSerializerCompiler(serializerCompiler);
    app.setErrorHandler(handleError);
    const requests: string[] = [];
    app.addHook('onRequest', (request, _reply, done) => {
      // The first request of a client asks what to show.
      if (request.headers.authorization !== undefined) requests.push(`${request.method} ${request.url}`);
      done();
    });
    const routeParts: RegistryRouteParts = {
      registry: served,
      blobs: parts.blobs,
      clock: this.clock,
      adminAuth: {
        verifyAdminToken: (token) => token === TOKEN,
        sessions: new WebSessions({ clock: this.clock, random: new SystemRandom() }),
      },
      enrollmentService: { identify: () => Promise.resolve({ kind: 'refused', code: 'unauthorised' }) },
      limits: { registryRequestsPerMinute: 100_000 },
    };
    void app.register(
      (scope: HttpApp, _options, done) => {
        registryRoutes(scope, routeParts);
        done();
      },
      { prefix: '/v2' },
    );
    await app.listen({ port: 0, host: '127.0.0.1' });
    const stop = async (): Promise<void> => {
      if (!app.server.listening) return;
      app.server.closeAllConnections();
      app.server.close();
      await once(app.server, 'close');
    };
    this.#undo.push(stop);
    const { port } = app.server.address() as AddressInfo;
    return { ...parts, requests, url: `http://127.0.0.1:${port}`, stop };
  }
}

/** Files that an upload left, in the blob folder of a site. */
export async function leftovers({ folder }: Pick<Site, 'folder'>): Promise<readonly string[]> {
  return readdir(join(folder, 'blobs', 'uploads'));
}
