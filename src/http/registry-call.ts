// What each handler of the registry is given, and the headers that several of them send. Addresses are paths without a host
// (RFC 9110 §10.2.2): what a client puts in its Host header never comes back to anybody.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Readable } from 'node:stream';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { BlobStore } from '../images/blob-store.ts';
import type { RegistryService } from '../images/registry/registry-service.ts';
import type { RegistryTarget } from './registry-path.ts';

export interface RegistryCall {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly target: RegistryTarget;
  readonly query: z.output<typeof REGISTRY_QUERY>;
  readonly parts: RegistryCallParts;
}

export interface RegistryCallParts {
  readonly registry: Omit<
    RegistryService,
    'adoptBlob' | 'onManifestStored' | 'collectGarbage' | 'holdCollection' | 'catalog'
  >;
  readonly blobs: Pick<BlobStore, 'read'>;
  readonly clock: Clock;
}

const word = z.string().max(1_024).optional();

/** Every query parameter of the spec; what is not here is not read, as proxies add their own (`ns`). */
export const REGISTRY_QUERY = z.object({
  digest: word,
  'digest-algorithm': word,
  mount: word,
  from: word,
  n: z.coerce.number().int().min(0).optional(),
  last: word,
  artifactType: word,
  tag: z.union([z.string().transform((tag) => [tag]), z.array(z.string()).max(100)]).optional(),
});

/** Clients of the Docker Registry API look for it before they believe (distribution-spec "Legacy Docker support HTTP headers"). */
export const REGISTRY_VERSION_HEADER = { 'docker-distribution-api-version': 'registry/2.0' } as const;

export function blobPath(repository: string, digest: string): string {
  return `/v2/${repository}/blobs/${digest}`;
}

export function manifestPath(repository: string, digest: string): string {
  return `/v2/${repository}/manifests/${digest}`;
}

export function uploadPath(repository: string, id: string): string {
  return `/v2/${repository}/blobs/uploads/${id}`;
}

/** The body as a stream, an empty one where there is none. */
export function bodyOf(request: FastifyRequest): Readable {
  return request.body instanceof Readable ? request.body : Readable.from([]);
}

/** Whether the request has a body, be it empty (RFC 9112 §6.3). */
export function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** `Link` to the page that follows (RFC 8288 §3; distribution-spec "Listing Tags"). */
export function nextLink(path: string, query: Readonly<Record<string, string>>): string {
  return `<${path}?${new URLSearchParams(query).toString()}>; rel="next"`;
}
