// Uploads of blobs over HTTP: end-4, end-5, end-6, end-11, end-13 and end-14 of the distribution-spec. Bodies are streamed to the
// store, never held.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ChunkRange } from '../images/registry/upload-store.ts';
import { refusalError, RegistryError } from './registry-error.ts';
import { blobPath, bodyOf, hasBody, uploadPath, type RegistryCall } from './registry-call.ts';

/** Each chunk is synced to the disk before it is acknowledged: smaller ones are taken, but cost more than they bring. */
const CHUNK_MIN_BYTES = 64 * 1024;
const ALGORITHMS: readonly string[] = ['sha256', 'sha512'];

/** end-4a, 4b, 4c and end-11: opens an upload, takes a whole blob at once, or takes over one that is there. */
export async function startUpload(call: RegistryCall): Promise<FastifyReply> {
  const { request, reply, target, query, parts } = call;
  const { repository } = target;
  const algorithm = query['digest-algorithm'] ?? 'sha256';
  if (!ALGORITHMS.includes(algorithm))
    throw new RegistryError('DIGEST_INVALID', `Digests by ${ALGORITHMS.join(' or ')} are taken, not by ${algorithm}.`);
  if (query.digest !== undefined && query.mount === undefined) {
    const stored = await parts.registry.putBlob({ repository, digest: query.digest, content: bodyOf(request) });
    if (stored.kind === 'refused') throw refusalError(stored);
    return sendStored(reply, repository, stored.digest);
  }
  const { mount, from } = query;
  const started = await parts.registry.startUpload({
    repository,
    ...(mount !== undefined && { mount }),
    ...(mount !== undefined && from !== undefined && { from }),
  });
  switch (started.kind) {
    case 'refused':
      throw refusalError(started);
    case 'mounted':
      return sendStored(reply, repository, started.digest);
    case 'started':
      return sendProgress(reply.code(202).header('oci-chunk-min-length', CHUNK_MIN_BYTES), repository, started.id, 0);
  }
}

/** end-5: one chunk, or the whole stream. */
export async function appendChunk({ request, reply, target, parts }: RegistryCall): Promise<FastifyReply> {
  const { repository, reference: id } = target;
  const appended = await parts.registry.appendUpload({
    repository,
    id,
    content: bodyOf(request),
    ...chunkRange(request),
  });
  if (appended.kind === 'refused') throw refusalError(appended);
  sendPosition(reply, repository, id, appended.offset);
  if (appended.kind === 'out-of-order') throw outOfOrder(appended.offset);
  return reply.code(202).header('content-length', 0).send();
}

/** end-6: closes the upload, with or without a last chunk. */
export async function finishUpload({ request, reply, target, query, parts }: RegistryCall): Promise<FastifyReply> {
  const { repository, reference: id } = target;
  if (query.digest === undefined)
    throw new RegistryError('DIGEST_INVALID', 'The upload is closed with ?digest=<algorithm>:<hex>.');
  const last = hasBody(request) ? { content: bodyOf(request), ...chunkRange(request) } : {};
  const finished = await parts.registry.finishUpload({ repository, id, digest: query.digest, ...last });
  switch (finished.kind) {
    case 'refused':
      throw refusalError(finished);
    case 'out-of-order':
      sendPosition(reply, repository, id, finished.offset);
      throw outOfOrder(finished.offset);
    case 'stored':
      return sendStored(reply, repository, finished.digest);
  }
}

/** end-13: where to go on after a break. */
export async function showUpload({ reply, target, parts }: RegistryCall): Promise<FastifyReply> {
  const { repository, reference: id } = target;
  const found = await parts.registry.uploadStatus(repository, id);
  if (found.kind === 'refused') throw refusalError(found);
  sendPosition(reply, repository, id, found.offset);
  return reply.code(204).send();
}

/** end-14. */
export async function cancelUpload({ reply, target, parts }: RegistryCall): Promise<FastifyReply> {
  const cancelled = await parts.registry.cancelUpload(target.repository, target.reference);
  if (cancelled.kind === 'refused') throw refusalError(cancelled);
  return reply.code(204).send();
}

/** `first-last` without a unit, both inclusive ("Pushing a blob in chunks"); its length must be the body's. */
function chunkRange({ headers }: FastifyRequest): { readonly range?: ChunkRange } {
  const text = headers['content-range'];
  if (text === undefined) return {};
  const [, first, last] = /^([0-9]{1,15})-([0-9]{1,15})$/.exec(text) ?? [];
  if (first === undefined || last === undefined || Number(last) < Number(first))
    throw new RegistryError('BLOB_UPLOAD_INVALID', 'Content-Range must be <first byte>-<last byte>.');
  const [start, end] = [Number(first), Number(last)];
  const length = headers['content-length'];
  if (length !== undefined && Number(length) !== end - start + 1)
    throw new RegistryError(
      'SIZE_INVALID',
      `Content-Range has ${end - start + 1} bytes, Content-Length says ${length}.`,
    );
  return { range: { start, end } };
}

function outOfOrder(offset: number): RegistryError {
  return new RegistryError('BLOB_UPLOAD_INVALID', `The next chunk must begin at byte ${offset}.`, 'out-of-order', {
    offset,
  });
}

/** `Range: 0-0` for an upload without a byte, as the Docker registry has it: the header has no word for nothing. */
function sendPosition(reply: FastifyReply, repository: string, id: string, offset: number): void {
  void reply
    .header('location', uploadPath(repository, id))
    .header('range', `0-${Math.max(0, offset - 1)}`)
    .header('docker-upload-uuid', id);
}

function sendProgress(reply: FastifyReply, repository: string, id: string, offset: number): FastifyReply {
  sendPosition(reply, repository, id, offset);
  return reply.header('content-length', 0).send();
}

function sendStored(reply: FastifyReply, repository: string, digest: string): FastifyReply {
  return reply
    .code(201)
    .header('location', blobPath(repository, digest))
    .header('docker-content-digest', digest)
    .header('content-length', 0)
    .send();
}
