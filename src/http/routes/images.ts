// Images and the blobs they are made of, for administrators' programs. Blob bodies are streamed to the store, never held.
import { Readable } from 'node:stream';
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { Clock } from '../../clock.ts';
import type { BlobStore } from '../../images/blob-store.ts';
import { IMAGE_NAME_PATTERN, parseDigest, type Digest, type Image, type ImagePart } from '../../images/image.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { HttpApp } from '../http-app.ts';

export interface ImageRouteParts {
  readonly images: Pick<ImageStore, 'find' | 'list' | 'put' | 'remove'>;
  readonly blobs: Pick<BlobStore, 'size' | 'put'>;
  readonly clock: Clock;
  readonly limits: { readonly blobBytes: number };
}

const digest = z.string().transform((text, context): Digest => {
  const parsed = parseDigest(text);
  if (parsed === undefined)
    context.issues.push({ code: 'custom', message: 'is not sha256:<64 hex digits>', input: text });
  return parsed ?? z.NEVER;
});
// A word ends at a space, and the kernel command line at a newline: neither may hide inside one.
const kernelWord = z.string().regex(/^[\x21-\x7e]{1,512}$/, 'must be one word of printable ASCII');
const NAME = z.object({ '*': z.string().max(200).regex(IMAGE_NAME_PATTERN, 'is not an image name') });
const DIGEST = z.object({ digest });
const NEW_IMAGE = z.strictObject({
  family: z.literal('dracut-livenet'),
  kernel: digest,
  initrd: digest,
  squashfs: digest,
  commandLine: z.array(kernelWord).max(64).default([]),
});

export function imageRoutes(app: HttpApp, { images, blobs, clock, limits }: ImageRouteParts): void {
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => {
    done(null, payload);
  });

  app.get('/images', async () => ({ images: await images.list() }));
  app.put('/images/*', { schema: { params: NAME, body: NEW_IMAGE } }, async (request) => {
    const { family, kernel, initrd, squashfs, commandLine } = request.body;
    const image: Image = {
      name: request.params['*'],
      family,
      kernel: await storedPart(blobs, kernel),
      initrd: await storedPart(blobs, initrd),
      squashfs: await storedPart(blobs, squashfs),
      commandLine,
      createdAt: clock.now(),
    };
    await images.put(image);
    return { image };
  });
  app.delete('/images/*', { schema: { params: NAME } }, async (request, reply) => {
    if (!(await images.remove(request.params['*']))) throw new AppError('not-found', 'There is no such image.');
    return reply.code(204).send();
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

async function storedPart(blobs: Pick<BlobStore, 'size'>, part: Digest): Promise<ImagePart> {
  const sizeBytes = await blobs.size(part);
  if (sizeBytes === undefined) throw new AppError('conflict', `The blob ${part} is not in the store; upload it first.`);
  return { digest: part, sizeBytes };
}

function tooLarge(limitBytes: number): AppError {
  return new AppError('payload-too-large', `A blob may have at most ${limitBytes} bytes (settings: limits.blobBytes).`);
}
