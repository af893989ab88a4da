// The writer of squashfs files and the work folder, with the real mksquashfs.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SquashfsRequest } from '../../src/images/conversion/squashfs-writer.ts';
import { MksquashfsWriter } from '../../src/platform/mksquashfs-writer.ts';
import { openFileBlobStore } from '../../src/storage/files/file-blob-store.ts';
import { openFileWorkspace } from '../../src/storage/files/file-workspace.ts';
import { aDirectory, aFile, aSymlink, rawTar } from '../support/layer-builders.ts';
import { Scratch } from '../support/openssl.ts';

const run = promisify(execFile);
let scratch: Scratch;

beforeEach(async () => {
  scratch = await Scratch.open();
});
afterEach(() => scratch[Symbol.asyncDispose]());

const TAR = rawTar(
  aDirectory('etc', { mtime: 500 }),
  aFile('etc/hostname', 'muster\n', { mtime: 1000, mode: 0o640, uid: 3, gid: 4 }),
  aFile('data', Buffer.alloc(300_000, 'abc'), { mtime: 900 }),
  aSymlink('link', 'etc/hostname'),
);

function aRequest(name: string, rest: Partial<SquashfsRequest> = {}): SquashfsRequest {
  const signal = new AbortController().signal;
  return { tar: Readable.from([TAR]), path: scratch.file(name), timeSeconds: 1000, rootMode: 0o755, signal, ...rest };
}

async function listing(name: string): Promise<string[]> {
  const environment = { ...process.env, TZ: 'UTC' };
  const { stdout } = await run('unsquashfs', ['-lln', scratch.file(name)], { env: environment });
  return stdout.split('\n').filter((line) => line.includes('squashfs-root'));
}

describe('MksquashfsWriter', () => {
  it('packs a tar with its owners, modes and times', async () => {
    expect(await new MksquashfsWriter({ processors: 1 }).write(aRequest('a.squashfs'))).toEqual({ kind: 'written' });
    const { stdout } = await run('unsquashfs', ['-lln', scratch.file('a.squashfs')], {
      env: { ...process.env, TZ: 'UTC' },
    });
    expect(stdout).toMatch(/^drwxr-xr-x 0\/0 .* 1970-01-01 00:16 squashfs-root$/m);
    expect(stdout).toMatch(/^-rw-r----- 3\/4 +7 1970-01-01 00:16 squashfs-root\/etc\/hostname$/m);
  });

  it('gives the same bytes from the same tar, with any number of processors and any time of day', async () => {
    const digests = [];
    for (const [name, processors, memoryMebibytes] of [
      ['a', 1, 64],
      ['b', 2, 32],
    ] as const) {
      await new MksquashfsWriter({ processors, memoryMebibytes }).write(aRequest(name));
      digests.push(
        createHash('sha256')
          .update(await readFile(scratch.file(name)))
          .digest('hex'),
      );
      await new Promise((done) => setTimeout(done, 1100));
    }
    expect(digests[0]).toBe(digests[1]);
  });

  it.each([
    ['in the future', 4_291_747_200, '2106-01-01 00:00'],
    ['the last that 32 bits can say', 4_294_967_295, '2106-02-07 06:28'],
    ['the first', 0, '1970-01-01 00:00'],
  ])(
    'gives the root folder and its files the time it was told, also %s, and the same bytes at any time',
    async (...row) => {
      const [, timeSeconds, shown] = row;
      const tar = rawTar(aFile('file', 'x', { mtime: timeSeconds }));
      const files = [];
      for (const name of ['a', 'b']) {
        await new MksquashfsWriter({ processors: 1 }).write(aRequest(name, { tar: Readable.from([tar]), timeSeconds }));
        files.push(await readFile(scratch.file(name)));
        await new Promise((done) => setTimeout(done, name === 'a' ? 1100 : 0));
      }
      expect(files[0]).toEqual(files[1]);
      const [root, file] = await listing('a');
      expect(root).toMatch(new RegExp(`${shown} squashfs-root$`));
      expect(file).toMatch(new RegExp(`${shown} squashfs-root/file$`));
    },
  );

  it('sets the time of the root folder wherever its inode lies, also across two blocks of the table', async () => {
    // Inodes of symbolic links have 24 bytes and the target, the root's is behind all of them: 8192 bytes are a block.
    for (let bytes = 8150; bytes <= 8200; bytes += 1) {
      const links = Array.from({ length: 81 }, (_, index) => aSymlink(`link-${index}`, 'x'.repeat(76)));
      const last = aSymlink('tail', 'y'.repeat(bytes - 81 * 100 - 24));
      const tar = Readable.from([rawTar(...links, last)]);
      await new MksquashfsWriter({ processors: 1 }).write(aRequest(`s${bytes}`, { tar, timeSeconds: 4_291_747_200 }));
      const lines = await listing(`s${bytes}`);
      expect(lines, String(bytes)).toHaveLength(83);
      expect(lines[0]).toMatch(/2106-01-01 00:00 squashfs-root$/);
      expect(lines.slice(1).every((line) => line.includes('2023-11-14 22:13'))).toBe(true);
    }
  });

  it('tells what the program says of a tar that is none, and of a place where it cannot write', async () => {
    const writer = new MksquashfsWriter({ processors: 1 });
    expect(await writer.write(aRequest('a', { tar: Readable.from([Buffer.alloc(5000, 'x')]) }))).toMatchObject({
      kind: 'failed',
      reason: expect.stringMatching(/tar/i),
    });
    expect(await writer.write(aRequest('no/such/folder'))).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('No such file or directory'),
    });
  });

  it('fails as the tar fails', async () => {
    const tar = Readable.from(
      (function* () {
        yield TAR.subarray(0, 2000);
        throw new Error('the layer broke');
      })(),
    );
    await expect(new MksquashfsWriter({ processors: 1 }).write(aRequest('a', { tar }))).rejects.toThrow(
      'the layer broke',
    );
  });

  it('ends the program when it is told to, also while the tar does not come', async () => {
    const abort = new AbortController();
    const tar = new Readable({ read: () => undefined });
    tar.push(TAR.subarray(0, 1500));
    const writing = new MksquashfsWriter({ processors: 1 }).write(aRequest('a', { tar, signal: abort.signal }));
    setTimeout(() => {
      abort.abort(new Error('enough'));
    }, 100);
    await expect(writing).rejects.toThrow('enough');
    const { stdout } = await run('ps', ['-eo', 'args']);
    expect(stdout).not.toContain(scratch.file('a'));
  });

  it('names the package where the program is missing', async () => {
    const writer = new MksquashfsWriter({ program: 'no-such-program', processors: 1 });
    await expect(writer.write(aRequest('a'))).rejects.toMatchObject({
      code: 'missing-program',
      message: expect.stringContaining('apt-get install --no-install-recommends squashfs-tools'),
    });
  });
});

describe('the work folder', () => {
  it('measures, keeps what is worth it as a blob, and leaves nothing behind', async () => {
    const blobDirectory = scratch.file('blobs');
    const blobs = await openFileBlobStore(blobDirectory);
    const folder = await (await openFileWorkspace(scratch.file('work'), blobDirectory)).open();
    const written = await folder.write('kernel', Readable.from([Buffer.from('ker'), Buffer.from('nel')]), 6);
    expect(written).toEqual(await folder.measure('kernel', () => undefined));
    expect(await folder.write('long', Readable.from([Buffer.alloc(7)]), 6)).toBeUndefined();
    await folder.keep('kernel', written!.digest);
    expect(await blobs.size(written!.digest)).toBe(6);
    await folder.discard();
    expect(await readdir(scratch.file('work'))).toEqual([]);
  });

  it('is empty at each start, whatever a killed process left', async () => {
    const folder = await (await openFileWorkspace(scratch.file('work'), scratch.file('blobs'))).open();
    await writeFile(join(folder.pathOf('squashfs')), 'half');
    await openFileWorkspace(scratch.file('work'), scratch.file('blobs'));
    expect(await readdir(scratch.file('work'))).toEqual([]);
  });
});
