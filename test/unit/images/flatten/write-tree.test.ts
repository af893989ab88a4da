import { once } from 'node:events';
import { PassThrough, Writable, type Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import type { FileTree, TreeEntry } from '../../../../src/images/flatten/file-tree.ts';
import { resolvePath } from '../../../../src/images/flatten/find-in-tree.ts';
import type { LayerSource } from '../../../../src/images/flatten/layer-source.ts';
import { extractFiles } from '../../../../src/images/flatten/read-contents.ts';
import { writeTree } from '../../../../src/images/flatten/write-tree.ts';
import {
  aDirectory,
  aFile,
  aHardLink,
  aLayer,
  aSymlink,
  layerOf,
  readTar,
  rawTar,
  scanned,
  TAR_END_MARK,
} from '../../../support/layer-builders.ts';

async function entriesOf(layers: readonly LayerSource[]) {
  return readTar(await buffer(writeTree(await scanned(layers), layers)));
}

function find(tree: FileTree, path: string): TreeEntry {
  const outcome = resolvePath(tree, path);
  if (outcome.kind !== 'found') throw new Error(`${path}: ${outcome.kind}`);
  return outcome.entry;
}

const image: readonly LayerSource[] = [
  aLayer(aFile('z/file', 'zz', { mode: 0o4755, uid: 1, gid: 2, mtime: 3 }), aFile('gone', 'no'), aFile('a', 'one')),
  aLayer(aFile('.wh.gone'), aHardLink('b', 'a'), aFile('c', 'three'), aSymlink('s', 'z/file')),
  aLayer({ name: 'dev/sda', type: '4', major: 8, minor: 0 }, { name: 'pipe', type: '6' }, aFile('a', 'new')),
];

describe('writeTree', () => {
  it('writes directories and what has no contents by path, then files as the layers have them', async () => {
    const entries = await entriesOf(image);
    expect(entries.map(({ name, type, content }) => `${name} ${type} ${content}`)).toEqual([
      'dev 5 ',
      'dev/sda 4 ',
      'pipe 6 ',
      's 2 ',
      'z 5 ',
      'z/file 0 zz',
      'b 0 one',
      'c 0 three',
      'a 0 new',
    ]);
  });

  it('keeps mode, owner, time, device numbers and link targets', async () => {
    const entries = await entriesOf(image);
    const byName = new Map(entries.map((entry) => [entry.name, entry]));
    expect(byName.get('z/file')).toMatchObject({ mode: 0o4755, uid: 1, gid: 2, mtime: 3 });
    expect(byName.get('dev/sda')).toMatchObject({ device: '8,0' });
    expect(byName.get('s')).toMatchObject({ link: 'z/file', mode: 0o777 });
    expect(byName.get('z')).toMatchObject({ mode: 0o755, uid: 0, mtime: 0 });
  });

  it('writes no user and group names, because sqfstar would look them up on this host (squashfs-tools, tar.c)', async () => {
    const entries = await entriesOf(image);
    expect(new Set(entries.map(({ owners }) => owners))).toEqual(new Set(['']));
  });

  it('writes the further names of an inode behind its first, also where the first name of the layers is gone', async () => {
    const layers = [
      aLayer(aFile('x', 'data'), aHardLink('y', 'x'), aHardLink('dir/w', 'x'), aSymlink('l', 't'), aHardLink('k', 'l')),
      aLayer(aFile('.wh.x')),
    ];
    const entries = await entriesOf(layers);
    expect(entries.map(({ name, type, link, content }) => `${name} ${type} ${link}${content}`)).toEqual([
      'dir 5 ',
      'k 2 t',
      'l 1 k',
      'dir/w 0 data',
      'y 1 dir/w',
    ]);
  });

  it('has pax records for what ustar has no room for: long names and targets, large owners, attributes', async () => {
    const long = `${'directory/'.repeat(12)}file`;
    const layers = [
      aLayer(
        aFile('f', 'x', { pax: { path: long, uid: '3000000', gid: '4000000000', 'SCHILY.xattr.user.a': 'b' } }),
        { name: 's', type: '2', pax: { linkpath: `/${long}` } },
        { name: 'h', type: '1', pax: { linkpath: long } },
      ),
    ];
    const entries = await entriesOf(layers);
    expect(entries.find(({ name }) => name === 's')).toMatchObject({ link: `/${long}` });
    // 'd…' stands before 'h' by path, and gets the contents.
    expect(entries.find(({ name, type }) => name === long && type === '0')).toMatchObject({
      content: 'x',
      pax: { uid: '3000000', gid: '4000000000', 'SCHILY.xattr.user.a': 'b' },
    });
    expect(entries.find(({ name }) => name === 'h')).toMatchObject({ type: '1', link: long });
  });

  it('keeps attributes and names that are not UTF-8 byte for byte', async () => {
    const value = '\x01\x00\x00\x02\x80\xff=\n';
    const layers = [aLayer(aFile('na\xefve', '', { pax: { 'SCHILY.xattr.security.capability': value } }))];
    const tar = (await buffer(writeTree(await scanned(layers), layers))).toString('latin1');
    expect(tar).toContain(`SCHILY.xattr.security.capability=${value}\n`);
    expect(tar).toContain('na\xefve\0');
  });

  it('announces a file of 9 GiB with a pax size, and fills its holes', async () => {
    const realsize = 9 * 1024 ** 3;
    const pax = {
      'GNU.sparse.name': 'big',
      'GNU.sparse.size': String(realsize),
      'GNU.sparse.map': `0,1,${realsize},0`,
    };
    const layers = [aLayer(aFile('big', 'x', { pax }))];
    const first = await firstChunk(layers);
    expect(first.toString('latin1')).toContain(`size=${realsize}\n`);
    expect(first.subarray(1536, 1540)).toEqual(Buffer.from('x\0\0\0'));
  });

  it('gives the same bytes for the same entries, however the layers come in pieces', async () => {
    const bytes = [
      rawTar(aFile('a', 'x'.repeat(5000)), aFile('b')),
      rawTar(aFile('c', 'y'.repeat(700)), aHardLink('d', 'a')),
    ];
    const outputs = await Promise.all(
      [1, 511, 513, 65_536].map(async (pieceBytes) => {
        const layers = bytes.map((layer) => layerOf(layer, pieceBytes));
        return buffer(writeTree(await scanned(layers), layers));
      }),
    );
    for (const output of outputs) expect(output.equals(outputs[0]!)).toBe(true);
  });

  it('gives the same bytes when it reads what it wrote', async () => {
    const first = await buffer(writeTree(await scanned(image), image));
    const again = [layerOf(first)];
    expect((await buffer(writeTree(await scanned(again), again))).equals(first)).toBe(true);
  });

  it('writes an end mark and nothing else for no layers', async () => {
    expect(await buffer(writeTree(await scanned([]), []))).toEqual(TAR_END_MARK);
  });

  it('fails where a layer is no longer what was scanned', async () => {
    const tree = await scanned([aLayer(aFile('a', 'one'))]);
    for (const other of [aLayer(aFile('a', 'other')), aLayer(), aLayer(aDirectory('a'))]) {
      await expect(buffer(writeTree(tree, [other]))).rejects.toMatchObject({ code: 'digest-mismatch' });
    }
  });
});

async function firstChunk(layers: readonly LayerSource[]): Promise<Buffer> {
  const tar = writeTree(await scanned(layers), layers);
  for await (const chunk of tar) return chunk as Buffer;
  throw new Error('nothing came');
}

describe('taps', () => {
  it('tees files to their sinks while the tar streams, empty ones too, one inode to several', async () => {
    const layers = [aLayer(aFile('k', 'kernel'), aHardLink('k2', 'k'), aFile('empty'))];
    const tree = await scanned(layers);
    const sinks = ['k', 'k2', 'empty'].map((path) => ({ entry: find(tree, path), sink: new PassThrough() }));
    const tar = writeTree(tree, layers, sinks);
    const [, ...contents] = await Promise.all([buffer(tar), ...sinks.map(({ sink }) => text(sink))]);
    expect(contents).toEqual(['kernel', 'kernel', '']);
  });

  it('waits for a sink that is slow', async () => {
    const layers = [layerOf(rawTar(aFile('k', Buffer.alloc(300_000, 'k'))), 10_000)];
    const tree = await scanned(layers);
    let received = 0;
    let writing = 0;
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        writing += 1;
        expect(writing).toBe(1);
        received += chunk.length;
        setImmediate(() => {
          writing -= 1;
          done();
        });
      },
    });
    await buffer(writeTree(tree, layers, [{ entry: find(tree, 'k'), sink }]));
    expect(received).toBe(300_000);
    expect(sink.writableFinished).toBe(true);
  });

  it('fails the tar when a sink fails, and closes layers and other sinks', async () => {
    const layers = [aLayer(aFile('k', 'kernel'), aFile('i', 'initrd'))];
    const tree = await scanned(layers);
    const other = new PassThrough();
    const broken = new Writable({
      write: (_chunk, _encoding, done) => {
        done(new Error('disk full'));
      },
    });
    const taps = [
      { entry: find(tree, 'k'), sink: broken },
      { entry: find(tree, 'i'), sink: other },
    ];
    await expect(buffer(writeTree(tree, layers, taps))).rejects.toThrow('disk full');
    expect(other.destroyed).toBe(true);
  });

  it.each(['write', 'end'])('fails when a sink was closed before its %s', async (when) => {
    const layers = [aLayer(aFile('k', when === 'write' ? 'kernel' : ''))];
    const tree = await scanned(layers);
    const sink = new PassThrough();
    sink.destroy();
    await expect(buffer(writeTree(tree, layers, [{ entry: find(tree, 'k'), sink }]))).rejects.toThrow();
  });

  it('closes layers and sinks when the reader of the tar goes away', async () => {
    const opened: Readable[] = [];
    const endless: LayerSource = {
      compressedBytes: 1,
      open: () => {
        const stream = layerOf(rawTar(aFile('k', Buffer.alloc(4_000_000)))).open();
        opened.push(stream);
        return stream;
      },
    };
    const tree = await scanned([endless]);
    const sink = new PassThrough().resume();
    const tar = writeTree(tree, [endless], [{ entry: find(tree, 'k'), sink }]);
    tar.once('data', () => tar.destroy());
    await once(tar, 'close');
    expect(opened.map((stream) => stream.destroyed)).toEqual([true, true]);
    expect(sink.destroyed).toBe(true);
  });
});

describe('a stuck sink', () => {
  it('does not keep the tar from closing', async () => {
    const layers = [aLayer(aFile('k', Buffer.alloc(1_000_000)))];
    const tree = await scanned(layers);
    const sink = new PassThrough();
    const tar = writeTree(tree, layers, [{ entry: find(tree, 'k'), sink }]).resume();
    await once(sink, 'readable');
    tar.destroy();
    await once(tar, 'close');
    expect(sink.destroyed).toBe(true);
  });
});

describe('extractFiles', () => {
  it('reads only the layers and parts of layers that the files are in', async () => {
    const unread: LayerSource = {
      compressedBytes: 1,
      open: () => {
        throw new Error('opened');
      },
    };
    const layers = [aLayer(aFile('a', '1')), aLayer(aFile('b', 'two'), aFile('c', '3'))];
    const tree = await scanned(layers);
    const sink = new PassThrough();
    const [content] = await Promise.all([
      text(sink),
      extractFiles(tree, [unread, layers[1]!], [{ entry: find(tree, 'b'), sink }]),
    ]);
    expect(content).toBe('two');
  });
});
