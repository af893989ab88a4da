import { describe, expect, it } from 'vitest';
import { TftpContentCache } from '../../../src/servers/tftp-content.ts';
import type { TftpFile, TransferContent } from '../../../src/servers/tftp-content.ts';

const MEBIBYTE = 1024 * 1024;

/** A blob that counts its reads and comes in pieces. */
function aBlob(sizeBytes: number, cacheKey = 'sha256:a', actualBytes = sizeBytes) {
  const bytes = Buffer.from(
    Uint8Array.from({ length: actualBytes }, (_, index) => index ^ (index >> 8) ^ (index >> 16)),
  );
  const reads: { start: number; end: number }[] = [];
  const file: TftpFile = {
    kind: 'blob',
    sizeBytes,
    cacheKey,
    async *read(range) {
      reads.push(range);
      for (let start = range.start; start <= range.end; start += 100_000) {
        await Promise.resolve();
        yield bytes.subarray(start, Math.min(start + 100_000, range.end + 1));
      }
    },
  };
  return { file, reads, bytes };
}

const aCache = (changes = {}) =>
  new TftpContentCache({ cachedFileBytes: MEBIBYTE, cacheBytes: 2 * MEBIBYTE, ...changes });

async function copyOf(content: TransferContent, start: number, end: number): Promise<Buffer> {
  await content.prepare(start, end);
  const target = Buffer.alloc(end - start);
  content.copy(target, 0, start, end);
  return target;
}

describe('TftpContentCache', () => {
  it('reads a loader once for all who want it at the same time', async () => {
    const { file, reads, bytes } = aBlob(250_000);
    const cache = aCache();
    const contents = await Promise.all([cache.open(file), cache.open(file), cache.open(file)]);
    expect(reads).toEqual([{ start: 0, end: 249_999 }]);
    expect(contents[2].prepare(0, 250_000)).toBeUndefined();
    expect((await copyOf(contents[2], 100, 200_000)).equals(bytes.subarray(100, 200_000))).toBe(true);
  });

  it('lets the longest unused go when it is full', async () => {
    const blobs = ['a', 'b', 'c'].map((key) => aBlob(MEBIBYTE, key));
    const [a, b, c] = blobs as [(typeof blobs)[0], (typeof blobs)[0], (typeof blobs)[0]];
    const cache = aCache();
    for (const { file } of [a, b, a, c, a, b]) await cache.open(file);
    expect([a.reads.length, b.reads.length, c.reads.length]).toEqual([1, 2, 1]);
  });

  it('does not remember a read that failed', async () => {
    const short = aBlob(1000, 'key', 900);
    const whole = aBlob(1000, 'key');
    const cache = aCache();
    await expect(cache.open(short.file)).rejects.toThrow('shorter than it says');
    expect((await cache.open(whole.file)).sizeBytes).toBe(1000);
  });

  it('refuses a blob that is longer than it says', async () => {
    const file: TftpFile = {
      kind: 'blob',
      sizeBytes: 2,
      cacheKey: 'k',
      // eslint-disable-next-line @typescript-eslint/require-await
      async *read() {
        yield Buffer.alloc(3);
      },
    };
    await expect(aCache().open(file)).rejects.toThrow('longer than it says');
  });

  it('serves bytes and an empty blob as they are', async () => {
    expect((await aCache().open({ kind: 'bytes', bytes: Buffer.from('#!ipxe') })).sizeBytes).toBe(6);
    const { file, reads } = aBlob(0);
    expect((await aCache().open(file)).sizeBytes).toBe(0);
    expect(reads).toEqual([]);
  });

  it('reads a large file piece by piece, one ahead, and forgets what was sent', async () => {
    const { file, reads, bytes } = aBlob(5 * MEBIBYTE + 17);
    const content = await aCache().open(file);
    expect(reads).toEqual([]);
    for (let start = 0; start < bytes.length; start += 90_000) {
      const end = Math.min(start + 90_000, bytes.length);
      expect((await copyOf(content, start, end)).equals(bytes.subarray(start, end))).toBe(true);
    }
    // Each piece once: going back inside the window finds it at hand.
    expect(reads).toHaveLength(11);
    expect(content.prepare(5 * MEBIBYTE, 5 * MEBIBYTE + 17)).toBeUndefined();
    expect(content.prepare(0, 10)).toBeInstanceOf(Promise);
  });

  it('has nothing to prepare past the end, for the empty block that ends a file', async () => {
    const content = await aCache({ cachedFileBytes: 0 }).open(aBlob(2 * MEBIBYTE).file);
    await content.prepare(MEBIBYTE, 2 * MEBIBYTE);
    expect(content.prepare(2 * MEBIBYTE, 2 * MEBIBYTE)).toBeUndefined();
  });
});
