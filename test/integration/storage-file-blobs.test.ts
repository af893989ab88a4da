import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseDigest } from '../../src/images/digest.ts';
import { openFileBlobStore } from '../../src/storage/files/file-blob-store.ts';
import { aDigest } from '../support/domain-builders.ts';

const CONTENT = Buffer.from('squashfs');
const HEX = createHash('sha256').update(CONTENT).digest('hex');
const DIGEST = parseDigest(`sha256:${HEX}`)!;

describe('openFileBlobStore', () => {
  let folder: string;
  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'muster-blobs-')), 'blobs');
  });
  afterEach(async () => {
    await rm(join(folder, '..'), { recursive: true });
  });
  const leftovers = (): Promise<string[]> => readdir(join(folder, 'tmp'));

  it('keeps a blob in a file named by its digest, readable by its owner alone', async () => {
    const blobs = await openFileBlobStore(folder);
    await blobs.put(DIGEST, Readable.from([CONTENT]), 100);
    const path = join(folder, 'sha256', HEX.slice(0, 2), HEX);
    expect(await readFile(path)).toEqual(CONTENT);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });

  it('finds what an earlier run stored, and removes what it left unfinished', async () => {
    const earlier = await openFileBlobStore(folder);
    await earlier.put(DIGEST, Readable.from([CONTENT]), 100);
    await writeFile(join(folder, 'tmp', 'half'), 'squa');
    const blobs = await openFileBlobStore(folder);
    expect(await blobs.size(DIGEST)).toBe(CONTENT.length);
    expect(await leftovers()).toEqual([]);
  });

  it('leaves nothing behind, whatever became of an upload', async () => {
    const blobs = await openFileBlobStore(folder);
    const broken = new Readable({
      read() {
        this.destroy(new Error('connection reset'));
      },
    });
    await blobs.put(DIGEST, Readable.from([CONTENT]), 100);
    await blobs.put(aDigest('a'), Readable.from([CONTENT]), 100);
    await blobs.put(aDigest('b'), Readable.from([CONTENT]), 1);
    await expect(blobs.put(aDigest('c'), broken, 100)).rejects.toThrow('connection reset');
    expect(await leftovers()).toEqual([]);
    expect(await readdir(join(folder, 'sha256'))).toEqual([HEX.slice(0, 2)]);
  });

  it('does not show a blob before it is whole', async () => {
    const blobs = await openFileBlobStore(folder);
    const slow = new Readable({ read: () => undefined });
    const put = blobs.put(DIGEST, slow, 100);
    slow.push(CONTENT.subarray(0, 4));
    while ((await leftovers()).length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(await blobs.size(DIGEST)).toBeUndefined();
    slow.push(CONTENT.subarray(4));
    slow.push(null);
    expect(await put).toMatchObject({ kind: 'stored' });
    expect(await blobs.size(DIGEST)).toBe(CONTENT.length);
  });

  it('says so when its folder cannot be made', async () => {
    await mkdir(join(folder, '..'), { recursive: true });
    await writeFile(folder, 'a file is in the way');
    await expect(openFileBlobStore(folder)).rejects.toMatchObject({ code: 'storage-failure' });
  });
});
