// Hostile images through the whole conversion: pushed, converted by the real thread, refused by name, and nothing left on the disk.
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FlattenRefusalReason } from '../../src/images/flatten/flatten-refusal.ts';
import { aBootableImage, openConversionWorld, type ConversionWorld } from '../support/conversion-world.ts';
import {
  aDirectory,
  aFile,
  aHardLink,
  aSymlink,
  rawEntry,
  TAR_END_MARK,
  type RawEntry,
} from '../support/layer-builders.ts';
import { aContainerImage, aContent, OCI_LAYER, type ContainerImage, type Content } from '../support/oci-layout.ts';

const run = promisify(execFile);
const TEN_TERABYTES = '10000000000000';

let world: ConversionWorld;
beforeEach(async () => {
  world = await openConversionWorld();
  world.conversions.start();
});
afterEach(() => world[Symbol.asyncDispose]());

/** Pushes the image, and sees it refused for this reason, with its own blobs alone on the disk. */
async function expectRefused(image: ContainerImage, reason: FlattenRefusalReason): Promise<void> {
  const pushed = new Set([image.config, ...image.layers, image.manifest].map(({ digest }) => digest.slice(7)));
  await world.push('fleet/os', 'latest', image);
  const before = await world.files();
  expect(before.map((file) => file.slice(file.lastIndexOf('/') + 1)).sort()).toEqual([...pushed].sort());
  await world.conversions.idle();
  const [conversion] = await world.conversions.list();
  expect(conversion).toMatchObject({
    state: 'refused',
    refusal: { code: 'layer-refused', detail: expect.stringContaining(`[${reason}]`) },
  });
  expect(await world.files()).toEqual(before);
  expect(await readdir(join(world.folder, 'work'))).toEqual([]);
  expect((await world.recorded()).at(-1)).toMatchObject({ kind: 'image-refused', details: { code: 'layer-refused' } });
  expect(world.failures).toEqual([]);
}

/** An image that boots, but for one layer of this tar on top. */
function withLayer(tar: Buffer): ContainerImage {
  const [base] = aBootableImage().layers;
  return aContainerImage([withDiffId(base!), withDiffId(aContent(gzipSync(tar, { level: 1 }), OCI_LAYER))]);
}

/** The conversion goes by the digests of the blobs. */
function withDiffId(layer: Content): Content & { diffId: Content['digest'] } {
  return { ...layer, diffId: layer.digest };
}

describe('a hostile image is refused, and the disk is as it was', () => {
  const sparse = { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': 'huge' };
  const cases: readonly (readonly [string, FlattenRefusalReason, readonly RawEntry[]])[] = [
    ['a name with ".."', 'path-escape', [aFile('usr/../../etc/cron.d/evil', 'x')]],
    ['an absolute name', 'absolute-name', [aFile('/etc/passwd', 'root::0:0::/:/bin/sh')]],
    ['a file through a symbolic link out', 'symlink-escape', [aSymlink('out', '../../../etc'), aFile('out/evil', 'x')]],
    ['a hard link out by ".."', 'path-escape', [aHardLink('shadow', '../../../../../../etc/shadow')]],
    ['a hard link out by a link', 'symlink-escape', [aSymlink('out', '../../etc'), aHardLink('shadow', 'out/shadow')]],
    ['a hard link to a file of the host', 'dangling-hard-link', [aHardLink('shadow', '/etc/shadow')]],
    ['a whiteout outside by ".."', 'path-escape', [aFile('../.wh.etc')]],
    ['a whiteout of the directory above', 'whiteout-escape', [aFile('etc/.wh...')]],
    ['a whiteout through a link out', 'symlink-escape', [aSymlink('out', '../..'), aFile('out/.wh.etc')]],
    ['an opaque mark outside', 'path-escape', [aFile('../etc/.wh..wh..opq')]],
    ['a file of 10 TB', 'file-too-large', [aFile('huge', '', { pax: { size: TEN_TERABYTES } })]],
    [
      'a sparse file of 10 TB',
      'file-too-large',
      [aFile('huge', '0\n'.padEnd(512, '\0'), { pax: { ...sparse, 'GNU.sparse.realsize': TEN_TERABYTES } })],
    ],
    ['symbolic links in a circle', 'symlink-loop', [aSymlink('a', 'b'), aSymlink('b', 'a'), aFile('a/x', 'x')]],
    ['a symbolic link to itself', 'symlink-loop', [aSymlink('a', 'a/a'), aFile('a/x', 'x')]],
    ['hard links in a circle', 'dangling-hard-link', [aHardLink('a', 'b'), aHardLink('b', 'a')]],
    ['a hard link to a directory above', 'hard-link-to-directory', [aDirectory('d'), aHardLink('d/up', 'd')]],
  ];

  it.each(cases)('%s: %s', async (_what, reason, entries) => {
    await expectRefused(aBootableImage(...entries), reason);
  });

  it('sparse files of 70 times 1 GB', async () => {
    const files = Array.from({ length: 70 }, (_, index) => {
      const map = { 'GNU.sparse.size': '1000000000', 'GNU.sparse.map': '1000000000,0' };
      return aFile(`f${index}`, '', { pax: { ...map, 'GNU.sparse.name': `f${index}` } });
    });
    await expectRefused(aBootableImage(...files), 'image-too-large');
  });

  it('a zip bomb: 200 MB of zeros in 200 kB', async () => {
    const bomb = Buffer.concat([rawEntry(aFile('zeros', Buffer.alloc(200_000_000))), TAR_END_MARK]);
    await expectRefused(withLayer(bomb), 'compression-ratio');
  });

  it('1,000,000 entries of different names', async () => {
    const [base] = aBootableImage().layers;
    await expectRefused(aContainerImage([withDiffId(base!), withDiffId(aMillionEntries())]), 'too-many-entries');
  }, 60_000);
});

describe('links that look hostile and are not', () => {
  it('stay inside: an absolute symbolic link begins at the root of the image, and what goes through it lands there', async () => {
    const out = [
      aSymlink('var/out', '/etc'),
      aFile('var/out/inside', 'x'),
      aSymlink('up', '../../etc'),
      aSymlink('a', 'a'),
    ];
    await world.push('fleet/os', 'latest', aBootableImage(...out, aHardLink('var/name', '/etc/hostname')));
    await world.conversions.idle();
    const resolution = await world.catalogue.resolve('fleet/os');
    if (resolution.kind === 'none') throw new Error(JSON.stringify(await world.conversions.list()));
    const hex = resolution.image.squashfs.digest.slice('sha256:'.length);
    const squashfs = join(world.blobDirectory, 'sha256', hex.slice(0, 2), hex);
    const { stdout } = await run('unsquashfs', ['-lln', squashfs]);
    for (const line of ['etc/inside', 'var/out -> /etc', 'up -> ../../etc', 'a -> a', 'var/name'])
      expect(stdout).toContain(`squashfs-root/${line}\n`);
  });
});

/** 512 MB of headers in 10 MB of gzip members. By changing one piece in place: making a million headers takes ten times as long. */
function aMillionEntries(): Content {
  const header = rawEntry(aFile('0000000'));
  const piece = Buffer.concat(Array.from({ length: 1000 }, () => header));
  const checksum = Number.parseInt(header.toString('latin1', 148, 154), 8);
  const members: Buffer[] = [];
  for (let number = 0; number < 1_000_000; number += 1) {
    const at = (number % 1000) * 512;
    const name = String(number).padStart(7, '0');
    piece.write(name, at, 'latin1');
    const digits = name.split('').reduce((sum, digit) => sum + Number(digit), 0);
    piece.write((checksum + digits).toString(8).padStart(6, '0'), at + 148, 'latin1');
    if (number % 1000 === 999) members.push(gzipSync(piece, { level: 1 }));
  }
  return aContent(Buffer.concat([...members, gzipSync(TAR_END_MARK)]), OCI_LAYER);
}
