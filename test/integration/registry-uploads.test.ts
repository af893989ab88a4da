// Uploads on files over a restart: what was acknowledged is there, what was not is cut off, and what is nobody's is gone.
import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlobStore } from '../../src/images/blob-store.ts';
import type { UploadId, UploadStore } from '../../src/images/registry/upload-store.ts';
import { openFileBlobStore } from '../../src/storage/files/file-blob-store.ts';
import { openFileUploadStore } from '../../src/storage/files/file-upload-store.ts';
import { NOON } from '../support/domain-builders.ts';
import { digestOf } from '../support/oci-layout.ts';
import { streamOf } from '../support/registry-world.ts';

const REPO = 'fleet/os';
const CONTENT = Buffer.from('kernel, initrd and squashfs');
const DIGEST = digestOf(CONTENT);
const UNLIMITED = { limitBytes: 1000 };

describe('openFileUploadStore', () => {
  let directory: string;
  let blobs: BlobStore;
  let uploads: UploadStore;
  let id: UploadId;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'muster-uploads-'));
    await open();
    const created = await uploads.create(REPO);
    if (created.kind !== 'created') throw new Error(created.kind);
    ({ id } = created);
    await uploads.append(REPO, id, streamOf(CONTENT.subarray(0, 10)), UNLIMITED);
  });
  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  const open = async (): Promise<void> => {
    blobs = await openFileBlobStore(directory);
    uploads = await openFileUploadStore({ directory, clock: { now: () => NOON } });
  };
  const fileOf = (extension: string): string => join(directory, 'uploads', `${id}.${extension}`);
  const filesLeft = (): Promise<string[]> => readdir(join(directory, 'uploads'));
  const finishRest = async () => {
    const range = { start: 10, end: CONTENT.length - 1 };
    expect(await uploads.append(REPO, id, streamOf(CONTENT.subarray(10)), { ...UNLIMITED, range })).toMatchObject({
      kind: 'appended',
    });
    return uploads.finish(REPO, id, DIGEST);
  };

  it('goes on after a restart where it was', async () => {
    await open();
    expect(await uploads.status(REPO, id)).toEqual({ offset: 10 });
    expect(await uploads.status('other', id)).toBeUndefined();
    expect(await finishRest()).toEqual({ kind: 'stored', sizeBytes: CONTENT.length });
    expect(await buffer(blobs.read(DIGEST))).toEqual(CONTENT);
    expect(await filesLeft()).toEqual([]);
  });

  it('cuts off what was written and never acknowledged', async () => {
    await appendFile(fileOf('part'), 'torn');
    await open();
    expect(await uploads.status(REPO, id)).toEqual({ offset: 10 });
    expect(await finishRest()).toMatchObject({ kind: 'stored' });
  });

  it('cuts it off also where the upload is finished without another chunk', async () => {
    await appendFile(fileOf('part'), 'torn');
    await open();
    const digest = digestOf(CONTENT.subarray(0, 10));
    expect(await uploads.finish(REPO, id, digest)).toEqual({ kind: 'stored', sizeBytes: 10 });
    expect(await buffer(blobs.read(digest))).toEqual(CONTENT.subarray(0, 10));
  });

  it('knows an upload that has no byte yet', async () => {
    const created = await uploads.create(REPO);
    await open();
    expect(created.kind === 'created' && (await uploads.status(REPO, created.id))).toEqual({ offset: 0 });
  });

  it('gives up an upload whose acknowledged bytes are missing', async () => {
    await truncate(fileOf('part'), 9);
    await open();
    expect(await uploads.status(REPO, id)).toBeUndefined();
    expect(await filesLeft()).toEqual([]);
  });

  it.each(['', '{', '{"repository":"fleet/os","offset":-1,"touchedAt":0}'])(
    'gives up an upload whose state is %j',
    async (text) => {
      await writeFile(fileOf('json'), text);
      await open();
      expect(await uploads.status(REPO, id)).toBeUndefined();
      expect(await filesLeft()).toEqual([]);
    },
  );

  it("removes what is nobody's: bytes without a state, half a state, foreign names", async () => {
    for (const name of ['0f0e0d0c-0b0a-4908-8706-050403020100.part', `${id}.json.tmp`, id, 'README']) {
      await writeFile(join(directory, 'uploads', name), 'x');
    }
    await open();
    expect((await filesLeft()).toSorted()).toEqual([`${id}.json`, `${id}.part`]);
  });

  it('leaves the blob store alone, and the blob store it', async () => {
    await blobs.put(DIGEST, streamOf(CONTENT), 1000);
    await open();
    expect(await blobs.size(DIGEST)).toBe(CONTENT.length);
    expect(await uploads.status(REPO, id)).toEqual({ offset: 10 });
    const digests: string[] = [];
    for await (const { digest } of blobs.list()) digests.push(digest);
    expect(digests).toEqual([DIGEST]);
  });

  it('takes as much disk as was acknowledged after a chunk that was refused', async () => {
    const range = { start: 10, end: 11 };
    await uploads.append(REPO, id, streamOf(CONTENT), { ...UNLIMITED, range });
    await uploads.append(REPO, id, streamOf(CONTENT), { limitBytes: 12 });
    expect((await stat(fileOf('part'))).size).toBe(10);
    expect(await readFile(fileOf('part'))).toEqual(CONTENT.subarray(0, 10));
  });

  it('keeps its files from other users', async () => {
    for (const extension of ['json', 'part']) expect((await stat(fileOf(extension))).mode & 0o777).toBe(0o600);
    expect((await stat(join(directory, 'uploads'))).mode & 0o777).toBe(0o700);
  });

  it('says so when its folder cannot be made', async () => {
    const parts = { directory: fileOf('json'), clock: { now: () => NOON } };
    await expect(openFileUploadStore(parts)).rejects.toMatchObject({ code: 'storage-failure' });
  });
});
