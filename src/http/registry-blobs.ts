// Blobs over HTTP: end-2 and end-10 of the distribution-spec.
import type { FastifyReply } from 'fastify';
import { refusalError } from './registry-error.ts';
import { REGISTRY_VERSION_HEADER, type RegistryCall } from './registry-call.ts';
import { serveBlob } from './serve-blob.ts';

/** end-2, whole or in part: machines that are cut off go on where they were ("Pulling blobs", Range). */
export async function pullBlob({ request, reply, target, parts }: RegistryCall): Promise<FastifyReply> {
  const { registry, blobs, clock } = parts;
  const { repository, reference } = target;
  const found = await (request.method === 'HEAD'
    ? registry.headBlob(repository, reference)
    : registry.getBlob(repository, reference));
  if (found.kind === 'refused') throw refusalError(found);
  const { digest, sizeBytes } = found;
  await serveBlob(
    request,
    reply,
    { kind: 'blob', digest, sizeBytes, contentType: 'application/octet-stream', onServed: () => undefined },
    {
      blobs,
      now: () => clock.now(),
      headers: {
        ...REGISTRY_VERSION_HEADER,
        'docker-content-digest': digest,
        // Private, as it took a credential to get it (RFC 9111 §3.5).
        'cache-control': 'private, max-age=31536000, immutable, no-transform',
      },
    },
  );
  return reply;
}

/** end-10. */
export async function deleteBlob({ reply, target, parts }: RegistryCall): Promise<FastifyReply> {
  const deleted = await parts.registry.deleteBlob(target.repository, target.reference);
  if (deleted.kind === 'refused') throw refusalError(deleted);
  return reply.code(202).header('content-length', 0).send();
}
