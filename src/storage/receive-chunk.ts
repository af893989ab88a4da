// One chunk of an upload, as every upload store takes it: all of it or nothing (distribution-spec "Pushing a blob in chunks").
import type { Readable } from 'node:stream';
import type { AppendOutcome, ChunkRange } from '../images/registry/upload-store.ts';
import { receiveBytes } from './receive-blob.ts';

export interface ChunkOptions {
  readonly range?: ChunkRange;
  readonly limitBytes: number;
}

/**
 * Hands the bytes to `keep` as they come. What was kept counts only if the outcome is 'appended', with the offset after it. Reads
 * `content` to its end, whatever the outcome; fails as it fails.
 */
export async function receiveChunk(
  content: Readable,
  offset: number,
  { range, limitBytes }: ChunkOptions,
  keep: (chunk: Buffer) => Promise<void>,
): Promise<Exclude<AppendOutcome, { kind: 'not-found' }>> {
  const room = limitBytes - offset;
  const announced = range && range.end - range.start + 1;
  if (range !== undefined && range.start !== offset) {
    content.resume();
    return { kind: 'out-of-order', offset };
  }
  if (announced !== undefined && announced > room) {
    content.resume();
    return { kind: 'too-large', limitBytes };
  }
  const received = await receiveBytes(content, announced ?? room, keep);
  if (received.kind === 'too-large') {
    return announced === undefined ? { kind: 'too-large', limitBytes } : { kind: 'out-of-order', offset };
  }
  if (announced !== undefined && received.sizeBytes !== announced) return { kind: 'out-of-order', offset };
  return { kind: 'appended', offset: offset + received.sizeBytes };
}
