import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlobEntry, BlobStore } from '../../src/images/blob-store.ts';
import { parseDigest, type Digest } from '../../src/images/digest.ts';
import { openFileBlobStore } from '../../src/storage/files/file-blob-store.ts';
import { MemoryBlobStore } from '../../src/storage/memory/memory-blob-store.ts';
import { aDigest } from '../support/domain-builders.ts';

const NO_LIMIT = 1024 ** 3;

function digestOf(content: Uint8Array): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(content).digest('hex')}`)!;
}

const ADAPTERS: readonly { name: string; open: (folder: string) => Promise<BlobStore> }[] = [
  { name: 'memory', open: () => Promise.resolve(new MemoryBlobStore()) },
  { name: 'files', open: openFileBlobStore },
];

describe.each(ADAPTERS)('BlobStore ($name)', (adapter) => {
  const content = randomBytes(300_000);
  const digest = digestOf(content);
  let folder: string;
  let blobs: BlobStore;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-blobs-'));
    blobs = await adapter.open(folder);
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  /** In pieces of uneven size, as a socket delivers them. */
  const streamed = (bytes = content): Readable =>
    Readable.from([bytes.subarray(0, 1), bytes.subarray(1, 70_000), bytes.subarray(70_000)]);

  describe('put', () => {
    it('stores what has the promised digest', async () => {
      expect(await blobs.put(digest, streamed(), NO_LIMIT)).toEqual({ kind: 'stored', sizeBytes: 300_000 });
      expect(await blobs.size(digest)).toBe(300_000);
      expect(await buffer(blobs.read(digest))).toEqual(content);
    });

    it('stores an empty blob', async () => {
      const empty = digestOf(new Uint8Array());
      expect(await blobs.put(empty, Readable.from([]), 0)).toEqual({ kind: 'stored', sizeBytes: 0 });
      expect(await buffer(blobs.read(empty))).toHaveLength(0);
    });

    it('says so when the blob is there already, and still takes what the sender sends', async () => {
      await blobs.put(digest, streamed(), NO_LIMIT);
      const again = streamed();
      expect(await blobs.put(digest, again, NO_LIMIT)).toEqual({ kind: 'exists', sizeBytes: 300_000 });
      await new Promise((resolve) => again.on('end', resolve));
      expect(await buffer(blobs.read(digest))).toEqual(content);
    });

    it('refuses other bytes than promised and names their digest', async () => {
      const outcome = await blobs.put(aDigest('a'), streamed(), NO_LIMIT);
      expect(outcome).toEqual({ kind: 'digest-mismatch', actual: digest });
      expect(await blobs.size(aDigest('a'))).toBeUndefined();
      expect(await blobs.size(digest)).toBeUndefined();
    });

    it('takes exactly as many bytes as the limit', async () => {
      expect(await blobs.put(digest, streamed(), 300_000)).toMatchObject({ kind: 'stored' });
    });

    it('refuses one byte more than the limit, without cutting the sender off', async () => {
      const source = streamed();
      expect(await blobs.put(digest, source, 299_999)).toEqual({ kind: 'too-large', limitBytes: 299_999 });
      expect(await blobs.size(digest)).toBeUndefined();
      expect(source.errored).toBeNull();
    });

    it('stores nothing of a sender that breaks off', async () => {
      const broken = Readable.from(
        (function* () {
          yield content.subarray(0, 1_000);
          throw new Error('connection reset');
        })(),
      );
      await expect(blobs.put(digest, broken, NO_LIMIT)).rejects.toThrow('connection reset');
      expect(await blobs.size(digest)).toBeUndefined();
    });

    it('takes the same blob from several senders at once', async () => {
      const outcomes = await Promise.all([1, 2, 3, 4].map(() => blobs.put(digest, streamed(), NO_LIMIT)));
      expect(outcomes.every(({ kind }) => kind === 'stored' || kind === 'exists')).toBe(true);
      expect(await buffer(blobs.read(digest))).toEqual(content);
    });
  });

  describe('read', () => {
    it.each([
      { start: 0, end: 0 },
      { start: 10, end: 19 },
      { start: 299_999, end: 299_999 },
      { start: 0, end: 299_999 },
    ])('reads from $start to $end, both inclusive', async ({ start, end }) => {
      await blobs.put(digest, streamed(), NO_LIMIT);
      expect(await buffer(blobs.read(digest, { start, end }))).toEqual(content.subarray(start, end + 1));
    });

    it('reads in chunks of at least 256 KiB', async () => {
      await blobs.put(digest, streamed(), NO_LIMIT);
      const sizes: number[] = [];
      for await (const chunk of blobs.read(digest)) sizes.push((chunk as Buffer).length);
      expect(sizes[0]).toBeGreaterThanOrEqual(256 * 1024);
    });

    it('fails where there is no such blob', async () => {
      await expect(buffer(blobs.read(digest))).rejects.toThrow();
    });
  });

  describe('list', () => {
    it('names every blob with its size and the time it came', async () => {
      const before = Date.now();
      const long = parseDigest(`sha512:${createHash('sha512').update(content).digest('hex')}`)!;
      await blobs.put(digest, streamed(), NO_LIMIT);
      expect(await blobs.put(long, streamed(), NO_LIMIT)).toEqual({ kind: 'stored', sizeBytes: 300_000 });
      expect(await blobs.put(aDigest('a'), streamed(), NO_LIMIT)).toMatchObject({ kind: 'digest-mismatch' });
      const entries: BlobEntry[] = [];
      for await (const entry of blobs.list()) entries.push(entry);
      expect(new Set(entries.map((entry) => entry.digest))).toEqual(new Set([digest, long]));
      // File systems tell the time more coarsely than clocks.
      for (const { sizeBytes, storedAt } of entries) {
        expect(sizeBytes).toBe(300_000);
        expect(Math.abs(storedAt - before)).toBeLessThan(10_000);
      }
    });

    it('names none where there is none', async () => {
      for await (const entry of blobs.list()) expect.unreachable(entry.digest);
    });
  });

  describe('SHA-512', () => {
    it('names a blob as well, and is compared as well', async () => {
      const long = parseDigest(`sha512:${createHash('sha512').update(content).digest('hex')}`)!;
      const wrong = parseDigest(`sha512:${'a'.repeat(128)}`)!;
      await blobs.put(long, streamed(), NO_LIMIT);
      expect(await buffer(blobs.read(long))).toEqual(content);
      expect(await blobs.size(digest)).toBeUndefined();
      expect(await blobs.put(wrong, streamed(), NO_LIMIT)).toEqual({ kind: 'digest-mismatch', actual: long });
      expect(await blobs.remove(long)).toBe(true);
      expect(await blobs.size(long)).toBeUndefined();
    });
  });

  describe('size and remove', () => {
    it('has no size where there is no blob', async () => {
      expect(await blobs.size(digest)).toBeUndefined();
    });

    it('removes a blob and says whether there was one', async () => {
      await blobs.put(digest, streamed(), NO_LIMIT);
      expect(await blobs.remove(digest)).toBe(true);
      expect(await blobs.remove(digest)).toBe(false);
      expect(await blobs.size(digest)).toBeUndefined();
    });
  });
});
