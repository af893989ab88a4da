// Images as administrators see them, and blobs that belong to no image (boot loaders). Images themselves come and go by the
// registry (routes/registry.ts). Blob bodies are streamed to the store, never held.
import { Readable } from 'node:stream';
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { BlobStore } from '../../images/blob-store.ts';
import { parseDigest, type Digest } from '../../images/digest.ts';
import type { ImageCatalogue } from '../../images/image-catalogue.ts';
import { parseImageReference, type ImageReference } from '../../images/image-reference.ts';
import type { RegistryService } from '../../images/registry/registry-service.ts';
import type { HttpApp } from '../http-app.ts';

export interface ImageRouteParts {
  readonly images: Pick<ImageCatalogue, 'list' | 'digest'>;
  readonly registry: Pick<RegistryService, 'deleteManifest'>;
  readonly collector: Pick<RegistryService, 'collectGarbage'>;
  readonly blobs: Pick<BlobStore, 'size' | 'put'>;
  readonly limits: { readonly blobBytes: number };
}

const digest = z.string().transform((text, context): Digest => {
  const parsed = parseDigest(text);
  if (parsed === undefined) context.issues.push({ code: 'custom', message: 'is not a digest', input: text });
  return parsed ?? z.NEVER;
});
const DIGEST = z.object({ digest });
const REFERENCE = z.object({
  '*': z
    .string()
    .max(400)
    .transform((text, context): ImageReference => {
      const parsed = parseImageReference(text);
      if (parsed === undefined)
        context.issues.push({ code: 'custom', message: 'is not the name of an image', input: text });
      return parsed ?? z.NEVER;
    }),
});

const COLLECTION = z
  .strictObject({ graceSeconds: z.number().min(0).max(31_536_000), dryRun: z.boolean() })
  .partial()
  .nullish();

export function imageRoutes(app: HttpApp, parts: ImageRouteParts): void {
  const { images, registry, collector, blobs, limits } = parts;
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => {
    done(null, payload);
  });

  app.get('/images', async () => ({ images: await images.list() }));
  app.post('/images/gc', { schema: { body: COLLECTION } }, async (request) => {
    const { graceSeconds, dryRun = false } = request.body ?? {};
    const grace = graceSeconds === undefined ? {} : { graceMs: graceSeconds * 1000 };
    return { dryRun, ...(await collector.collectGarbage({ dryRun, ...grace })) };
  });
  app.get('/images/*', { schema: { params: REFERENCE } }, async (request) => {
    const reference = request.params['*'];
    const found = await images.digest(reference);
    const image = (await images.list(reference.name)).find(
      (view) => view.digest === found || view.imageDigest === found,
    );
    if (found === undefined || image === undefined) throw noImage();
    return { image };
  });
  app.delete('/images/*', { schema: { params: REFERENCE } }, async (request, reply) => {
    const reference = request.params['*'];
    if (reference.kind === 'channel')
      throw new AppError(
        'invalid-request',
        'A channel is moved by promote and rollback and ended by channels remove; name a tag or a digest.',
      );
    const named = reference.kind === 'tag' ? reference.tag : reference.digest;
    const outcome = await registry.deleteManifest(reference.name, named);
    if (outcome.kind === 'deleted') return reply.code(204).send();
    throw outcome.code === 'DENIED' ? new AppError('conflict', outcome.message) : noImage();
  });

  app.head('/blobs/:digest', { schema: { params: DIGEST } }, async (request, reply) => {
    const sizeBytes = await blobs.size(request.params.digest);
    if (sizeBytes === undefined) throw new AppError('not-found', 'There is no such blob.');
    return reply.header('content-type', 'application/octet-stream').header('content-length', sizeBytes).send();
  });
  app.put('/blobs/:digest', { schema: { params: DIGEST }, config: { slowBody: true } }, async (request, reply) => {
    if (!(request.body instanceof Readable))
      throw new AppError('invalid-request', 'The body must be application/octet-stream.');
    if (Number(request.headers['content-length']) > limits.blobBytes) throw tooLarge(limits.blobBytes);
    const outcome = await blobs.put(request.params.digest, request.body, limits.blobBytes);
    switch (outcome.kind) {
      case 'stored':
      case 'exists':
        return reply
          .code(outcome.kind === 'stored' ? 201 : 200)
          .send({ digest: request.params.digest, sizeBytes: outcome.sizeBytes });
      case 'digest-mismatch':
        throw new AppError('digest-mismatch', `The bytes that came have the digest ${outcome.actual}.`);
      case 'too-large':
        throw tooLarge(outcome.limitBytes);
    }
  });
}

function noImage(): AppError {
  return new AppError('not-found', 'There is no such image.');
}

function tooLarge(limitBytes: number): AppError {
  return new AppError('payload-too-large', `A blob may have at most ${limitBytes} bytes (settings: limits.blobBytes).`);
}
