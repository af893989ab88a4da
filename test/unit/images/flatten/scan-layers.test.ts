import { describe, expect, it } from 'vitest';
import { resolvePath } from '../../../../src/images/flatten/find-in-tree.ts';
import { aDirectory, aFile, aHardLink, aLayer, aSymlink, scanned, treeLines } from '../../../support/layer-builders.ts';

describe('scanLayers: one tree from layers (OCI image-spec, layer.md "Applying Changesets")', () => {
  it('lets a whiteout hide a name of lower layers, with all that is below it', async () => {
    const tree = await scanned([aLayer(aDirectory('a/'), aFile('a/x'), aFile('b')), aLayer(aFile('.wh.a'))]);
    expect(treeLines(tree)).toEqual(['b file 0']);
  });

  it('keeps what the layer of the whiteout itself wrote, before or behind the whiteout', async () => {
    const lower = aLayer(aFile('a/old'), aFile('b/old'));
    const upper = aLayer(aFile('a/new'), aFile('.wh.a'), aFile('.wh.b'), aFile('b/new'));
    expect(treeLines(await scanned([lower, upper]))).toEqual([
      'a directory',
      'a/new file 0',
      'b directory',
      'b/new file 0',
    ]);
  });

  it('empties an opaque directory of what lower layers put there, however deep', async () => {
    const lower = aLayer(aFile('d/s/old'), aFile('d/old'), aFile('e'));
    const upper = aLayer(aFile('d/s/new'), aFile('d/.wh..wh..opq'));
    expect(treeLines(await scanned([lower, upper]))).toEqual([
      'd directory',
      'd/s directory',
      'd/s/new file 0',
      'e file 0',
    ]);
  });

  it('keeps a hard link that the layer of the opaque mark makes to a file of a lower layer', async () => {
    const tree = await scanned([aLayer(aFile('f', 'abc')), aLayer(aHardLink('d/g', 'f'), aFile('d/.wh..wh..opq'))]);
    expect(treeLines(tree)).toEqual(['d directory', 'd/g file 3', 'f file 3']);
  });

  it('passes over whiteouts of what is not there, and over what aufs keeps for itself', async () => {
    const layer = aLayer(aFile('.wh.no'), aFile('no/.wh.way'), aFile('no/.wh..wh..opq'), aFile('.wh..wh.aufs'));
    expect(
      treeLines(await scanned([layer, aLayer(aDirectory('.wh..wh.plnk/'), aFile('.wh..wh.plnk/1.2', 'x'))])),
    ).toEqual([]);
  });

  it('replaces a directory by a file, and a file by a directory', async () => {
    const tree = await scanned([
      aLayer(aFile('a/x'), aFile('b')),
      aLayer(aFile('a', '1'), aDirectory('b/'), aFile('b/y')),
    ]);
    expect(treeLines(tree)).toEqual(['a file 1', 'b directory', 'b/y file 0']);
  });

  it('keeps the children of a directory that a higher layer only describes anew', async () => {
    const tree = await scanned([
      aLayer(aDirectory('a/'), aFile('a/x')),
      aLayer(aDirectory('a', { mode: 0o700, uid: 7 })),
    ]);
    expect(treeLines(tree)).toEqual(['a directory', 'a/x file 0']);
    expect(resolvePath(tree, 'a')).toMatchObject({ entry: { inode: { mode: 0o700, uid: 7 } } });
  });

  it('takes the last of duplicates within a layer', async () => {
    expect(treeLines(await scanned([aLayer(aFile('a', '1'), aFile('a', '22'))]))).toEqual(['a file 2']);
  });

  it('gives a hard link the file of that moment, also when a later layer replaces the name it was made from', async () => {
    const tree = await scanned([aLayer(aFile('a', '1')), aLayer(aHardLink('b', '/./a')), aLayer(aFile('a', '333'))]);
    expect(treeLines(tree)).toEqual(['a file 3', 'b file 1']);
  });

  it('lets two names be one inode, and links to symbolic links and devices too', async () => {
    const device = { name: 'null', type: '3', major: 1, minor: 3 };
    const tree = await scanned([
      aLayer(aSymlink('s', 'nowhere'), aHardLink('t', 's'), device, aHardLink('zero', 'null')),
    ]);
    expect(treeLines(tree)).toEqual([
      'null character-device 1,3',
      's symlink nowhere',
      't symlink nowhere',
      'zero character-device 1,3',
    ]);
  });

  it.each(['/', './', '.'])('takes %s for the root itself (kaniko writes "/", tar "./")', async (name) => {
    const tree = await scanned([aLayer(aDirectory(name, { mode: 0o711 }), aFile('f'))]);
    expect(treeLines(tree)).toEqual(['f file 0']);
    expect(tree.root.inode.mode).toBe(0o711);
  });

  it('takes the target of a hard link from the root of the image, also an absolute one (kaniko writes these)', async () => {
    const tree = await scanned([aLayer(aFile('usr/bin/sh', 'sh'), aHardLink('usr/bin/ash', '/usr/bin/sh'))]);
    expect(treeLines(tree).filter((line) => line.includes(' file '))).toEqual([
      'usr/bin/ash file 2',
      'usr/bin/sh file 2',
    ]);
  });

  it('normalises names: "./" and doubled slashes mean the same place', async () => {
    const layer = aLayer(
      aDirectory('./', { mode: 0o711 }),
      aFile('./a//b/./c'),
      aFile('./etc/passwd'),
      aDirectory('x/'),
    );
    const tree = await scanned([layer]);
    expect(treeLines(tree)).toEqual([
      'a directory',
      'a/b directory',
      'a/b/c file 0',
      'etc directory',
      'etc/passwd file 0',
      'x directory',
    ]);
    expect(tree.root.inode.mode).toBe(0o711);
  });

  it('writes through a symbolic link to a directory, as runtimes do with a merged /usr', async () => {
    const tree = await scanned([
      aLayer(aDirectory('usr/bin'), aSymlink('bin', 'usr/bin')),
      aLayer(aFile('bin/sh', 'sh')),
    ]);
    expect(treeLines(tree)).toEqual(['bin symlink usr/bin', 'usr directory', 'usr/bin directory', 'usr/bin/sh file 2']);
  });

  it.each([
    ['/etc', ['a symlink /etc', 'etc directory', 'etc/evil file 0']],
    ['/x/../etc/.', ['a symlink /x/../etc/.', 'etc directory', 'etc/evil file 0', 'x directory']],
  ])('keeps a write through a symbolic link to %s inside the root', async (target, lines) => {
    expect(treeLines(await scanned([aLayer(aSymlink('a', target), aFile('a/evil'))]))).toEqual(lines);
  });

  it('keeps a symbolic link that climbs, or that goes in circles, where nothing goes through it: it is only text', async () => {
    const links = [aSymlink('a', '../../etc'), aSymlink('b', 'c'), aSymlink('c', 'b')];
    expect(treeLines(await scanned([aLayer(...links)]))).toEqual(['a symlink ../../etc', 'b symlink c', 'c symlink b']);
  });

  it('replaces a symbolic link by an entry of its own name, and does not write through it', async () => {
    const tree = await scanned([
      aLayer(aDirectory('d'), aSymlink('a', 'd'), aSymlink('b', 'd')),
      aLayer(aFile('a', 'x'), aDirectory('b')),
    ]);
    expect(treeLines(tree)).toEqual(['a file 1', 'b directory', 'd directory']);
  });

  it('reads pax records: long names, owners, times, sizes, attributes byte for byte', async () => {
    const path = `${'d/'.repeat(100)}file`;
    const capability = '\x01\x00\x00\x02\x80\x00\x00\x00=\n\xff';
    const pax = {
      path,
      uid: '3000000',
      gid: '4000000',
      mtime: '1234.9',
      'SCHILY.xattr.security.capability': capability,
    };
    const tree = await scanned([aLayer(aFile('short', 'abc', { pax }))]);
    expect(resolvePath(tree, path)).toMatchObject({
      entry: {
        inode: { uid: 3_000_000, gid: 4_000_000, mtimeSeconds: 1234, xattrs: [['security.capability', capability]] },
      },
    });
  });

  it('drops attributes of namespaces that squashfs cannot store', async () => {
    const pax = {
      'SCHILY.xattr.system.posix_acl_access': 'x',
      'SCHILY.xattr.user.b': '2',
      'SCHILY.xattr.trusted.a': '1',
    };
    const tree = await scanned([aLayer(aFile('f', '', { pax }))]);
    expect(resolvePath(tree, 'f')).toMatchObject({
      entry: {
        inode: {
          xattrs: [
            ['trusted.a', '1'],
            ['user.b', '2'],
          ],
        },
      },
    });
  });

  it('keeps the contents of small files that it was told to capture', async () => {
    const layer = aLayer(aFile('usr/lib/os-release', 'ID=debian\n'), aFile('usr/lib/other', 'x'));
    const tree = await scanned([layer], { capture: new Set(['os-release']) });
    expect(resolvePath(tree, 'usr/lib/os-release')).toMatchObject({
      entry: { inode: { content: Buffer.from('ID=debian\n') } },
    });
    expect(resolvePath(tree, 'usr/lib/other')).toMatchObject({ entry: { inode: { content: undefined } } });
  });
});
