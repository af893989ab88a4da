// Manifests over HTTP: end-3, end-7 and end-9 of the distribution-spec. Bytes go out as they came in, with the type they came with.
import type { FastifyReply } from 'fastify';
import type { Readable } from 'node:stream';
import { refusalError, RegistryError } from './registry-error.ts';
import { bodyOf, manifestPath, type RegistryCall } from './registry-call.ts';

/** Manifests are held in memory; the spec asks for 4 MB at least ("Pushing Manifests"). */
const MANIFEST_LIMIT_BYTES = 4 * 1024 * 1024;

/** end-3. What a tag names may change at any time, what a digest names never. */
export async function pullManifest({ request, reply, target, parts }: RegistryCall): Promise<FastifyReply> {
  const { repository, reference } = target;
  const isHead = request.method === 'HEAD';
  const found = isHead
    ? await parts.registry.headManifest(repository, reference)
    : await parts.registry.getManifest(repository, reference);
  if (found.kind === 'refused') throw refusalError(found);
  const { digest, mediaType, sizeBytes } = found.record;
  const etag = `"${digest}"`;
  void reply
    .header('content-type', mediaType)
    .header('docker-content-digest', digest)
    .header('etag', etag)
    .header('cache-control', reference === digest ? 'private, max-age=31536000, immutable' : 'no-cache')
    .header('x-content-type-options', 'nosniff');
  if (request.headers['if-none-match'] === etag) return reply.code(304).send();
  void reply.header('content-length', sizeBytes);
  return reply.send('bytes' in found ? found.bytes : undefined);
}

/** end-7. `?tag=` beside a digest names the manifest at once (end-7b). */
export async function pushManifest({ request, reply, target, query, parts }: RegistryCall): Promise<FastifyReply> {
  const { repository, reference } = target;
  const bytes = await readManifest(bodyOf(request), Number(request.headers['content-length'] ?? 0));
  const mediaType = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  const stored = await parts.registry.putManifest({
    ...{ repository, reference, bytes, tags: query.tag ?? [] },
    ...(mediaType !== undefined && { mediaType }),
  });
  if (stored.kind === 'refused') throw refusalError(stored);
  const { digest, subject } = stored.record;
  void reply.header('location', manifestPath(repository, digest)).header('docker-content-digest', digest);
  if (subject !== undefined) void reply.header('oci-subject', subject);
  if (query.tag !== undefined) void reply.header('oci-tag', stored.tags);
  return reply.code(201).header('content-length', 0).send();
}

/** end-9. */
export async function deleteManifest({ reply, target, parts }: RegistryCall): Promise<FastifyReply> {
  const deleted = await parts.registry.deleteManifest(target.repository, target.reference);
  if (deleted.kind === 'refused') throw refusalError(deleted);
  return reply.code(202).header('content-length', 0).send();
}

async function readManifest(content: Readable, announcedBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = announcedBytes > MANIFEST_LIMIT_BYTES ? announcedBytes : 0;
  if (sizeBytes === 0) {
    for await (const chunk of content.iterator({ destroyOnReturn: false })) {
      const bytes = Buffer.from(chunk as Uint8Array);
      sizeBytes += bytes.length;
      if (sizeBytes > MANIFEST_LIMIT_BYTES) break;
      chunks.push(bytes);
    }
  }
  if (sizeBytes <= MANIFEST_LIMIT_BYTES) return Buffer.concat(chunks);
  // Read to its end, or the client would not see the answer; the clock for small bodies bounds it.
  content.resume();
  throw new RegistryError('SIZE_INVALID', `A manifest may have at most ${MANIFEST_LIMIT_BYTES} bytes.`, 'too-large', {
    limitBytes: MANIFEST_LIMIT_BYTES,
  });
}
