// Takes in a stream of bytes: measures, digests and hands on. What every store of blobs and uploads does with what it is given.
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { AppError } from '../errors.ts';
import type { Digest, DigestAlgorithm } from '../images/digest.ts';
import { endDigest } from './digest-bytes.ts';

export interface TooLarge {
  readonly kind: 'too-large';
  readonly limitBytes: number;
}

export type ReceivedBlob =
  { readonly kind: 'received'; readonly digest: Digest; readonly sizeBytes: number } | TooLarge;

/** As receiveBytes, and digests what came. */
export async function receiveBlob(
  content: Readable,
  limitBytes: number,
  keep: (chunk: Buffer) => Promise<void>,
  algorithm: DigestAlgorithm = 'sha256',
): Promise<ReceivedBlob> {
  const hash = createHash(algorithm);
  const received = await receiveBytes(content, limitBytes, (chunk) => {
    hash.update(chunk);
    return keep(chunk);
  });
  return received.kind === 'received' ? { ...received, digest: endDigest(algorithm, hash) } : received;
}

/**
 * Hands each chunk to `keep` and waits for it. Of a stream that is longer than the limit the rest is read and thrown away: the
 * stream is never destroyed here, because of an HTTP request that would cut off the answer too. Fails as the stream fails.
 */
export async function receiveBytes(
  content: Readable,
  limitBytes: number,
  keep: (chunk: Buffer) => Promise<void>,
): Promise<{ readonly kind: 'received'; readonly sizeBytes: number } | TooLarge> {
  let sizeBytes = 0;
  for await (const chunk of content.iterator({ destroyOnReturn: false })) {
    const bytes = bytesOf(chunk);
    sizeBytes += bytes.length;
    if (sizeBytes > limitBytes) break;
    await keep(bytes);
  }
  if (sizeBytes <= limitBytes) return { kind: 'received', sizeBytes };
  content.resume();
  return { kind: 'too-large', limitBytes };
}

function bytesOf(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk;
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new AppError('internal', 'A blob came as a stream of something other than bytes.');
}
