import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/clock.ts';
import type { BlobStore } from '../../src/images/blob-store.ts';
import { parseUploadId, type UploadId, type UploadStore } from '../../src/images/registry/upload-store.ts';
import { openFileBlobStore } from '../../src/storage/files/file-blob-store.ts';
import { openFileUploadStore } from '../../src/storage/files/file-upload-store.ts';
import { MemoryBlobStore } from '../../src/storage/memory/memory-blob-store.ts';
import { MemoryUploadStore } from '../../src/storage/memory/memory-upload-store.ts';
import { aDigest, NOON } from '../support/domain-builders.ts';
import { digestOf } from '../support/oci-layout.ts';

interface Opened {
  readonly blobs: BlobStore;
  readonly uploads: UploadStore;
}

const UPLOAD_LIMIT = 5;
const UNLIMITED = { limitBytes: 1024 ** 3 };
const ADAPTERS: readonly { name: string; open: (folder: string, clock: Clock) => Promise<Opened> }[] = [
  {
    name: 'memory',
    open: (_folder, clock) => {
      const blobs = new MemoryBlobStore();
      return Promise.resolve({ blobs, uploads: new MemoryUploadStore({ blobs, clock, uploadLimit: UPLOAD_LIMIT }) });
    },
  },
  {
    name: 'files',
    open: async (directory, clock) => ({
      blobs: await openFileBlobStore(directory),
      uploads: await openFileUploadStore({ directory, clock, uploadLimit: UPLOAD_LIMIT }),
    }),
  },
];

describe.each(ADAPTERS)('UploadStore ($name)', (adapter) => {
  const content = randomBytes(300_000);
  const digest = digestOf(content);
  let now = NOON;
  let folder: string;
  let blobs: BlobStore;
  let uploads: UploadStore;
  let id: UploadId;
  beforeEach(async () => {
    now = NOON;
    folder = await mkdtemp(join(tmpdir(), 'muster-uploads-'));
    ({ blobs, uploads } = await adapter.open(folder, { now: () => now }));
    id = await created();
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  const created = async (): Promise<UploadId> => {
    const outcome = await uploads.create('fleet/os');
    if (outcome.kind !== 'created') throw new Error(outcome.kind);
    return outcome.id;
  };
  /** In pieces of uneven size, as a socket delivers them. */
  const streamed = (bytes: Buffer): Readable => {
    const middle = Math.floor(bytes.length / 3);
    return Readable.from([bytes.subarray(0, middle), bytes.subarray(middle)]);
  };
  const append = (bytes: Buffer, options: Partial<Parameters<UploadStore['append']>[3]> = {}) =>
    uploads.append('fleet/os', id, streamed(bytes), { ...UNLIMITED, ...options });

  it('takes a blob in one piece', async () => {
    expect(await uploads.status('fleet/os', id)).toEqual({ offset: 0 });
    expect(await append(content)).toEqual({ kind: 'appended', offset: 300_000 });
    expect(await uploads.status('fleet/os', id)).toEqual({ offset: 300_000 });
    expect(await blobs.size(digest)).toBeUndefined();
    expect(await uploads.finish('fleet/os', id, digest)).toEqual({ kind: 'stored', sizeBytes: 300_000 });
    expect(await buffer(blobs.read(digest))).toEqual(content);
    expect(await uploads.status('fleet/os', id)).toBeUndefined();
  });

  it('takes a blob in chunks, with ranges or without', async () => {
    await append(content.subarray(0, 100_000), { range: { start: 0, end: 99_999 } });
    await append(content.subarray(100_000, 100_001));
    await append(content.subarray(100_001), { range: { start: 100_001, end: 299_999 } });
    expect(await uploads.finish('fleet/os', id, digest)).toMatchObject({ kind: 'stored' });
    expect(await buffer(blobs.read(digest))).toEqual(content);
  });

  it('takes a blob named by its SHA-512', async () => {
    const long = digestOf(content, 'sha512');
    await append(content);
    expect(await uploads.finish('fleet/os', id, long)).toEqual({ kind: 'stored', sizeBytes: 300_000 });
    expect(await buffer(blobs.read(long))).toEqual(content);
  });

  it('takes an empty blob, appended or not', async () => {
    const empty = digestOf(Buffer.alloc(0));
    expect(await uploads.finish('fleet/os', id, empty)).toEqual({ kind: 'stored', sizeBytes: 0 });
    id = await created();
    expect(await append(Buffer.alloc(0))).toEqual({ kind: 'appended', offset: 0 });
    expect(await uploads.finish('fleet/os', id, empty)).toEqual({ kind: 'stored', sizeBytes: 0 });
    expect(await blobs.size(empty)).toBe(0);
  });

  it('takes a blob that is there already, if the bytes are right', async () => {
    await blobs.put(digest, streamed(content), content.length);
    expect(await uploads.finish('fleet/os', id, digest)).toMatchObject({ kind: 'digest-mismatch' });
    id = await created();
    await append(content);
    expect(await uploads.finish('fleet/os', id, digest)).toEqual({ kind: 'stored', sizeBytes: 300_000 });
  });

  it('refuses other bytes than promised, and the upload is gone', async () => {
    await append(content);
    expect(await uploads.finish('fleet/os', id, aDigest('a'))).toEqual({ kind: 'digest-mismatch', actual: digest });
    expect(await blobs.size(aDigest('a'))).toBeUndefined();
    expect(await blobs.size(digest)).toBeUndefined();
    expect(await uploads.status('fleet/os', id)).toBeUndefined();
  });

  it.each([
    { name: 'begins before', range: { start: 99_999, end: 299_998 } },
    { name: 'begins after', range: { start: 100_001, end: 300_000 } },
    { name: 'is shorter than', range: { start: 100_000, end: 300_000 } },
    { name: 'is longer than', range: { start: 100_000, end: 299_998 } },
  ])('takes nothing of a chunk that $name what its range says, and goes on where it stood', async ({ range }) => {
    await append(content.subarray(0, 100_000));
    const rest = streamed(content.subarray(100_000));
    const outcome = await uploads.append('fleet/os', id, rest, { ...UNLIMITED, range });
    expect(outcome).toEqual({ kind: 'out-of-order', offset: 100_000 });
    expect(rest.errored).toBeNull();
    expect(await uploads.status('fleet/os', id)).toEqual({ offset: 100_000 });
    await append(content.subarray(100_000));
    expect(await uploads.finish('fleet/os', id, digest)).toMatchObject({ kind: 'stored' });
  });

  it('takes nothing of a chunk that makes the upload longer than the limit, announced or not', async () => {
    await append(content.subarray(0, 200_000), { limitBytes: 299_999 });
    const tooLarge = { kind: 'too-large', limitBytes: 299_999 };
    const range = { start: 200_000, end: 299_999 };
    expect(await append(content.subarray(200_000), { limitBytes: 299_999 })).toEqual(tooLarge);
    expect(await append(content.subarray(200_000), { limitBytes: 299_999, range })).toEqual(tooLarge);
    expect(await append(content.subarray(200_000), { limitBytes: 300_000 })).toMatchObject({ kind: 'appended' });
    expect(await uploads.finish('fleet/os', id, digest)).toMatchObject({ kind: 'stored' });
  });

  it('takes nothing of a chunk that breaks off, and the client may send it again', async () => {
    await append(content.subarray(0, 100_000));
    const broken = Readable.from(
      (function* () {
        yield content.subarray(100_000, 200_000);
        throw new Error('connection reset');
      })(),
    );
    await expect(uploads.append('fleet/os', id, broken, UNLIMITED)).rejects.toThrow('connection reset');
    expect(await uploads.status('fleet/os', id)).toEqual({ offset: 100_000 });
    await append(content.subarray(100_000));
    expect(await uploads.finish('fleet/os', id, digest)).toMatchObject({ kind: 'stored' });
  });

  it('takes one of two chunks that come at once for the same place', async () => {
    const range = { start: 0, end: 299_999 };
    const kinds = await Promise.all([append(content, { range }), append(content, { range })]);
    expect(kinds.map(({ kind }) => kind).toSorted()).toEqual(['appended', 'out-of-order']);
    expect(await uploads.finish('fleet/os', id, digest)).toMatchObject({ kind: 'stored' });
  });

  it('knows an upload in its own repository only', async () => {
    await append(content);
    const elsewhere = streamed(content);
    expect(await uploads.append('other', id, elsewhere, UNLIMITED)).toEqual({ kind: 'not-found' });
    expect(await uploads.status('other', id)).toBeUndefined();
    expect(await uploads.finish('other', id, digest)).toEqual({ kind: 'not-found' });
    expect(await uploads.cancel('other', id)).toBe(false);
    expect(await uploads.finish('fleet/os', id, digest)).toMatchObject({ kind: 'stored' });
  });

  it('forgets an upload that is cancelled', async () => {
    await append(content);
    expect(await uploads.cancel('fleet/os', id)).toBe(true);
    expect(await uploads.cancel('fleet/os', id)).toBe(false);
    expect(await append(content)).toEqual({ kind: 'not-found' });
    expect(await uploads.finish('fleet/os', id, digest)).toEqual({ kind: 'not-found' });
  });

  it('removes uploads that nobody went on with', async () => {
    const idle = id;
    now = NOON + 10;
    id = await created();
    expect(await uploads.removeStale(NOON)).toBe(0);
    expect(await uploads.removeStale(NOON + 10)).toBe(1);
    expect(await uploads.status('fleet/os', idle)).toBeUndefined();
    now = NOON + 20;
    await append(content);
    expect(await uploads.removeStale(NOON + 20)).toBe(0);
    expect(await uploads.status('fleet/os', id)).toEqual({ offset: 300_000 });
  });

  it('has so many open at once and no more', async () => {
    for (let number = 1; number < UPLOAD_LIMIT; number += 1) await created();
    expect(await uploads.create('fleet/os')).toEqual({ kind: 'too-many', limit: UPLOAD_LIMIT });
    await uploads.cancel('fleet/os', id);
    expect(await uploads.create('fleet/os')).toMatchObject({ kind: 'created' });
  });
});

describe('parseUploadId', () => {
  it('takes UUIDs and nothing that could lead out of a folder', () => {
    expect(parseUploadId('0f0e0d0c-0b0a-4908-8706-050403020100')).toBeDefined();
    for (const text of ['', '..', '../0f0e0d0c-0b0a-4908-8706-050403020100', '0F0E0D0C-0B0A-4908-8706-050403020100']) {
      expect(parseUploadId(text)).toBeUndefined();
    }
  });
});
