// Takes in a stream of bytes: measures, digests and hands on. What every blob store does with what it is given.
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { AppError } from '../errors.ts';
import { parseDigest, type Digest } from '../images/image.ts';

export type ReceivedBlob =
  | { readonly kind: 'received'; readonly digest: Digest; readonly sizeBytes: number }
  | { readonly kind: 'too-large'; readonly limitBytes: number };

/**
 * Hands each chunk to `keep` and waits for it. Of a stream that is longer than the limit the rest is read and thrown away: the
 * stream is never destroyed here, because of an HTTP request that would cut off the answer too. Fails as the stream fails.
 */
export async function receiveBlob(
  content: Readable,
  limitBytes: number,
  keep: (chunk: Buffer) => Promise<void>,
): Promise<ReceivedBlob> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of content.iterator({ destroyOnReturn: false })) {
    const bytes = bytesOf(chunk);
    sizeBytes += bytes.length;
    if (sizeBytes > limitBytes) break;
    hash.update(bytes);
    await keep(bytes);
  }
  if (sizeBytes > limitBytes) {
    content.resume();
    return { kind: 'too-large', limitBytes };
  }
  return { kind: 'received', digest: digestOf(hash.digest('hex')), sizeBytes };
}

function bytesOf(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk;
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new AppError('internal', 'A blob came as a stream of something other than bytes.');
}

function digestOf(hex: string): Digest {
  const digest = parseDigest(`sha256:${hex}`);
  if (digest === undefined) throw new AppError('internal', `SHA-256 gave ${hex}.`);
  return digest;
}
