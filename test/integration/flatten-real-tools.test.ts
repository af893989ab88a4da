// Layers made by GNU tar and buildah, flattened, and compared with what GNU tar, umoci and unsquashfs make of them on disk.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FileTree } from '../../src/images/flatten/file-tree.ts';
import { layerCompression, type LayerSource } from '../../src/images/flatten/layer-source.ts';
import { writeTree } from '../../src/images/flatten/write-tree.ts';
import { decompressLayer } from '../../src/platform/decompress-layer.ts';
import { snapshotDirectory } from '../support/directory-snapshot.ts';
import { aDirectory, aFile, aHardLink, aSymlink, rawTar, scanned } from '../support/layer-builders.ts';

const run = (program: string, words: readonly string[], options: { cwd?: string } = {}) =>
  execFileSync(program, words, { encoding: 'utf8', stdio: 'pipe', ...options });

const SQFSTAR = 'sqfstar';
const isRoot = process.getuid?.() === 0;
const missing = ['umoci', 'buildah', 'sqfstar', 'unsquashfs', 'getfattr'].filter((program) => {
  try {
    return run('sh', ['-c', `command -v ${program}`]) === '';
  } catch {
    return true;
  }
});
const without = (...programs: readonly string[]) => !isRoot || programs.some((program) => missing.includes(program));
const title = (name: string, ...programs: readonly string[]) =>
  without(...programs) ? `${name} (skipped: needs root and ${programs.join(', ')})` : name;

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'flatten-'));
});
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true });
});

const at = (...names: readonly string[]) => join(scratch, ...names);

/** Runs shell lines in a new directory of the scratch folder. */
function populate(directory: string, script: string): void {
  mkdirSync(at(directory));
  run('sh', ['-euc', script], { cwd: at(directory) });
}

const PAX = ['--format=posix', '--xattrs', '--xattrs-include=*'];

function tar(directory: string, ...options: readonly string[]): string {
  const file = at(`${directory}.tar`);
  run('tar', ['-C', at(directory), ...options, '-cf', file, '.']);
  return file;
}

function fileLayer(file: string, mediaType = 'application/vnd.oci.image.layer.v1.tar'): LayerSource {
  const compression = layerCompression(mediaType);
  if (compression === undefined) throw new Error(mediaType);
  return { compressedBytes: statSync(file).size, open: () => decompressLayer(createReadStream(file), compression) };
}

async function unpack(tree: FileTree, layers: readonly LayerSource[], directory: string): Promise<string[]> {
  mkdirSync(at(directory));
  await pipeline(writeTree(tree, layers), createWriteStream(at('flat.tar')));
  run('tar', ['-C', at(directory), '--xattrs', '--xattrs-include=*', '--numeric-owner', '-xpf', at('flat.tar')]);
  return snapshotDirectory(at(directory));
}

// A capability with a byte above 0x7f (cap_setuid), as newuidmap has it: lost by decoders that take pax values for UTF-8.
const ROOT = `
  mkdir -p usr/bin usr/lib etc dev run "$(printf 'deep%.0s/' $(seq 40))"
  echo sh > usr/bin/sh; chmod 4755 usr/bin/sh; ln -s usr/bin bin; ln -s /etc/missing dangling
  echo root > etc/passwd; ln etc/passwd etc/passwd-; ln dangling dangling2
  mknod dev/null c 1 3; mknod dev/sda b 8 0; mknod dev/loop4711 b 7 4711; mkfifo run/pipe; chmod 1777 run
  echo long > "$(printf 'deep%.0s/' $(seq 40))file"
  ln -s "$(printf 'deep%.0s/' $(seq 40))file" longlink
  printf 'x' > "$(printf 'n%.0s' $(seq 255))"; echo é > 'naïve ünïcode'
  cp usr/bin/sh usr/bin/newuidmap; setfattr -n security.capability -v 0x0100000280000000000000000000000000000000 usr/bin/newuidmap
  setfattr -n user.note -v 'with = and
newline' etc/passwd; setfattr -n trusted.x -v 0xff00fe usr/lib
  dd if=/dev/urandom of=usr/lib/random bs=1000 count=777 status=none
  truncate -s 5M etc/sparse; echo middle | dd of=etc/sparse bs=1 seek=1234567 conv=notrunc status=none
  echo end | dd of=etc/sparse bs=1 seek=4999999 conv=notrunc status=none
  truncate -s 3M etc/hole; truncate -s 2M etc/holes
  for i in $(seq 1 40); do printf x | dd of=etc/holes bs=1 seek=$((i * 40960)) conv=notrunc status=none; done
  chown 1000:1001 etc/sparse; chown 3000000:4000000000 usr/lib/random; chown -h 5:6 bin; touch -d '1999-12-31 23:59:59 UTC' usr/bin/sh
  touch empty; chmod 0 empty
  find . -newermt 2020-01-02 -exec touch -h -d '2020-01-01 UTC' {} +
`;

describe.skipIf(without('getfattr'))(title('a layer by GNU tar', 'getfattr'), () => {
  it.each([
    ['GNU format', ['--format=gnu']],
    ['GNU format with sparse files', ['--format=gnu', '--sparse']],
    ['pax format', [...PAX]],
    ['pax format with sparse files 0.0', [...PAX, '--sparse', '--sparse-version=0.0']],
    ['pax format with sparse files 0.1', [...PAX, '--sparse', '--sparse-version=0.1']],
    ['pax format with sparse files 1.0', [...PAX, '--sparse', '--sparse-version=1.0']],
  ])('comes out as it went in: %s', async (_format, options) => {
    populate('root', ROOT);
    const file = tar('root', ...options);
    // Ten megabytes are holes.
    expect(statSync(file).size < 2_000_000).toBe(options.includes('--sparse'));
    const layers = [fileLayer(file)];
    const flat = await unpack(await scanned(layers), layers, 'flat');
    const original = snapshotDirectory(at('root'));
    // The GNU format has no extended attributes.
    const expected = options.includes('--format=gnu')
      ? original.map((line) => line.replace(/(?:\S+=0x\S+)+$/, ''))
      : original;
    expect(flat).toEqual(expected);
  });
});

const UPPER = rawTar(
  aFile('etc/.wh.passwd-'),
  aHardLink('etc/shadow', 'etc/passwd'),
  aFile('bin/through', 'the link'),
  aFile('usr/lib/.wh..wh..opq'),
  aFile('usr/lib/fresh', 'fresh', { mode: 0o640, uid: 12, gid: 13 }),
  aDirectory('etc/hole'),
  aFile('etc/hole/inside', 'was a file'),
  aFile('.wh.run'),
  aFile('dev', 'was a directory'),
  aSymlink('naked', '/etc'),
  aFile('naked/contained', 'still inside'),
  aFile('empty', 'first'),
  aFile('empty', 'second'),
);
const TOP = rawTar(
  aFile('etc/passwd', 'replaced'),
  aHardLink('usr/bin/ash', '/usr/bin/sh'),
  aDirectory('usr/bin', { mode: 0o700, uid: 3, gid: 4 }),
  aFile('.wh.dangling'),
  aFile('late/.wh.nothing'),
  aFile('implied/by/path', 'x'),
);

interface Descriptor {
  readonly digest: string;
  readonly mediaType: string;
}

function layersOfLayout(layout: string): LayerSource[] {
  const blob = (digest: string) => at(layout, 'blobs', 'sha256', digest.replace('sha256:', ''));
  const index = JSON.parse(readFileSync(at(layout, 'index.json'), 'utf8')) as { manifests: [Descriptor] };
  const manifest = JSON.parse(readFileSync(blob(index.manifests[0].digest), 'utf8')) as { layers: Descriptor[] };
  return manifest.layers.map(({ digest, mediaType }) => fileLayer(blob(digest), mediaType));
}

describe.skipIf(without('umoci', 'getfattr'))(title('an image of several layers', 'umoci', 'getfattr'), () => {
  it('unpacks to the very tree that umoci unpacks: names, modes, owners, times, contents, links, attributes', async () => {
    populate('root', ROOT);
    const files = [tar('root', ...PAX, '--sparse'), at('upper.tar'), at('top.tar')];
    writeFileSync(at('upper.tar'), UPPER);
    writeFileSync(at('top.tar'), TOP);
    const umoci = (...words: readonly string[]) => run('umoci', words, { cwd: scratch });
    umoci('init', '--layout', 'layout');
    umoci('new', '--image', 'layout:os');
    for (const file of files) umoci('raw', 'add-layer', '--image', 'layout:os', file);
    umoci('raw', 'unpack', '--image', 'layout:os', 'golden');
    const layers = layersOfLayout('layout');
    expect(layers).toHaveLength(3);
    expect(await unpack(await scanned(layers), layers, 'flat')).toEqual(snapshotDirectory(at('golden')));
  });
});

describe.skipIf(without('buildah', 'umoci', 'getfattr'))(
  title('an image by buildah', 'buildah', 'umoci', 'getfattr'),
  () => {
    it('unpacks as umoci unpacks it', async () => {
      populate(
        'root',
        'mkdir -p etc d/sub; echo 1 > etc/one; ln etc/one etc/two; echo x > d/sub/x; ln -s etc link; touch d/y',
      );
      const storage = ['--storage-driver', 'vfs', '--root', at('storage'), '--runroot', at('run')];
      const buildah = (...words: readonly string[]) => run('buildah', [...storage, ...words], { cwd: scratch }).trim();
      const first = buildah('from', 'scratch');
      buildah('copy', first, 'root', '/');
      buildah('commit', first, 'first');
      const second = buildah('from', 'first');
      const mounted = buildah('mount', second);
      execFileSync(
        'sh',
        ['-euc', 'rm -r d; echo new > d; rm etc/one; ln etc/two etc/three; rm link; mkdir link; touch link/z'],
        { cwd: mounted },
      );
      buildah('commit', '--format', 'oci', second, `oci:${at('layout')}:os`);
      buildah('rm', '--all');
      run('umoci', ['raw', 'unpack', '--image', 'layout:os', 'golden'], { cwd: scratch });
      const layers = layersOfLayout('layout');
      expect(layers.length).toBeGreaterThan(1);
      expect(await unpack(await scanned(layers), layers, 'flat')).toEqual(snapshotDirectory(at('golden')));
    });
  },
);

describe.skipIf(without('sqfstar', 'unsquashfs', 'getfattr'))(
  title('sqfstar', 'sqfstar', 'unsquashfs', 'getfattr'),
  () => {
    async function squash(layers: readonly LayerSource[], file: string): Promise<string> {
      const tree = await scanned(layers);
      const { mode, uid, gid } = tree.root.inode;
      const root = ['-root-mode', mode.toString(8), '-root-uid', String(uid), '-root-gid', String(gid)];
      const program = spawn(SQFSTAR, [...root, '-no-progress', '-quiet', at(file)], {
        stdio: ['pipe', 'ignore', 'pipe'],
        // Version 4.5.1 does not heed -root-time for tars: the root has the present time, which this puts back to 2020.
        env: { ...process.env, SOURCE_DATE_EPOCH: '1577836800' },
      });
      const ended = once(program, 'close');
      const [errors] = await Promise.all([text(program.stderr), pipeline(writeTree(tree, layers), program.stdin)]);
      expect(await ended).toEqual([0, null]);
      expect(errors).toBe('');
      return at(file);
    }

    it('takes the tar without a complaint, and keeps all of it', async () => {
      populate('root', ROOT);
      const layers = [fileLayer(tar('root', ...PAX, '--sparse'))];
      const squashfs = await squash(layers, 'root.squashfs');
      run('unsquashfs', ['-quiet', '-no-progress', '-d', at('unsquashed'), squashfs]);
      // Symbolic links have no mode of their own in squashfs, nor does Linux give them one.
      expect(snapshotDirectory(at('unsquashed'))).toEqual(snapshotDirectory(at('root')));
      const list = run('unsquashfs', ['-lln', squashfs]);
      expect(list).toMatch(/^crw-r--r-- 0\/0 +1, +3 .*dev\/null$/m);
      expect(list).toMatch(/^-rwsr-xr-x 0\/0 +3 1999-12-31 23:59 squashfs-root\/usr\/bin\/sh$/m);
      expect(run('unsquashfs', ['-cat', squashfs, 'etc/passwd-'])).toBe('root\n');
    });

    it('makes the same bytes of the same layers, whatever their compression', async () => {
      populate('root', ROOT);
      const plain = tar('root', ...PAX);
      run('gzip', ['-k', plain]);
      const first = await squash([fileLayer(plain)], 'first.squashfs');
      const second = await squash(
        [fileLayer(`${plain}.gz`, 'application/vnd.oci.image.layer.v1.tar+gzip')],
        'second.squashfs',
      );
      expect((await buffer(createReadStream(first))).equals(await buffer(createReadStream(second)))).toBe(true);
    });
  },
);
