import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { DEFAULT_FLATTEN_LIMITS, type FlattenLimits } from '../../../../src/images/flatten/flatten-limits.ts';
import type { FlattenRefusalReason } from '../../../../src/images/flatten/flatten-refusal.ts';
import { CorruptLayerError, type LayerSource } from '../../../../src/images/flatten/layer-source.ts';
import { scanLayers } from '../../../../src/images/flatten/scan-layers.ts';
import {
  aDirectory,
  aFile,
  aHardLink,
  aLayer,
  aSymlink,
  gnuLongName,
  layerOf,
  paxEntry,
  rawEntry,
  rawTar,
  TAR_END_MARK,
  withChecksum,
  type RawEntry,
} from '../../../support/layer-builders.ts';

const TEN_TERABYTES = 10_000_000_000_000;

async function refusalOf(layers: readonly LayerSource[], limits: Partial<FlattenLimits> = {}) {
  const outcome = await scanLayers(layers, { limits: { ...DEFAULT_FLATTEN_LIMITS, ...limits } });
  return outcome.kind === 'refused' ? outcome.reason : outcome.kind;
}

function base256(value: number): Buffer {
  const bytes = Buffer.alloc(12, value < 0 ? 0xff : 0);
  bytes.writeBigInt64BE(BigInt(value), 4);
  bytes.writeUInt8(value < 0 ? 0xff : 0x80, 0);
  return bytes;
}

function pax(records: Record<string, string>, entry: RawEntry): Buffer {
  return Buffer.concat([paxEntry(Object.entries(records)), rawEntry(entry)]);
}

const paxOf = (content: string) => {
  const entry = rawEntry(aFile('PaxHeader', Buffer.from(content, 'latin1'), { type: 'x' }));
  return rawTar(entry, aFile('f'));
};

describe('hostile names', () => {
  const cases: readonly (readonly [string, readonly RawEntry[], FlattenRefusalReason])[] = [
    ['a name that climbs', [aFile('../etc/passwd')], 'path-escape'],
    ['a name that climbs in the middle', [aFile('a/../../etc/passwd')], 'path-escape'],
    ['an absolute name', [aFile('/etc/passwd')], 'absolute-name'],
    ['an absolute name behind more slashes', [aFile('//etc/passwd')], 'absolute-name'],
    ['an absolute name that climbs', [aFile('/../etc/passwd')], 'absolute-name'],
    ['an absolute directory', [aDirectory('/etc/')], 'absolute-name'],
    ['an absolute whiteout', [aFile('/etc/.wh.passwd')], 'absolute-name'],
    ['an absolute symbolic link by its own name', [aSymlink('/etc/alias', 'passwd')], 'absolute-name'],
    ['an absolute hard link by its own name', [aFile('f'), aHardLink('/etc/alias', 'f')], 'absolute-name'],
    ['the root by two slashes', [aDirectory('//')], 'absolute-name'],
    ['a file in place of the root by its slash', [aFile('/', 'x')], 'empty-name'],
    ['a hard link that climbs', [aHardLink('a', '../../etc/shadow')], 'path-escape'],
    ['a hard link to what only the host has', [aHardLink('a', '/etc/shadow')], 'dangling-hard-link'],
    [
      'a hard link through a symbolic link to the host',
      [aSymlink('s', '/'), aHardLink('a', 's/etc/shadow')],
      'dangling-hard-link',
    ],
    ['a hard link that climbs by a symbolic link', [aSymlink('s', '../..'), aHardLink('a', 's/f')], 'symlink-escape'],
    ['a file through a symbolic link that climbs', [aSymlink('s', '../../etc'), aFile('s/cron')], 'symlink-escape'],
    ['a file through an absolute one that climbs', [aSymlink('s', '/../etc'), aFile('s/cron')], 'symlink-escape'],
    [
      'a file through two that climb together',
      [aSymlink('d/a', '..'), aSymlink('b', 'd/a/..'), aFile('b/x')],
      'symlink-escape',
    ],
    ['a whiteout through a symbolic link that climbs', [aSymlink('s', '..'), aFile('s/.wh.etc')], 'symlink-escape'],
    ['an opaque mark through one that climbs', [aSymlink('s', '..'), aFile('s/.wh..wh..opq')], 'symlink-escape'],
    ['a hard link to itself', [aHardLink('a', 'a')], 'dangling-hard-link'],
    ['hard links in a circle', [aHardLink('a', 'b'), aHardLink('b', 'a')], 'dangling-hard-link'],
    ['a hard link to a directory', [aDirectory('d'), aHardLink('a', 'd')], 'hard-link-to-directory'],
    ['a hard link to the root', [aHardLink('a', '/')], 'hard-link-to-directory'],
    ['a hard link in place of the root', [aFile('f'), aHardLink('./', 'f')], 'empty-name'],
    ['symbolic links in a circle', [aSymlink('a', 'b'), aSymlink('b', 'a'), aFile('a/x')], 'symlink-loop'],
    ['a hard link behind a circle', [aSymlink('a', 'a'), aHardLink('x', 'a/b')], 'symlink-loop'],
    ['a file inside a file', [aFile('a'), aFile('a/b')], 'parent-not-a-directory'],
    ['a file inside a link to a file', [aFile('f'), aSymlink('a', 'f'), aFile('a/b')], 'parent-not-a-directory'],
    ['a file inside a device', [{ name: 'a', type: '3' }, aFile('a/b')], 'parent-not-a-directory'],
    ['a file in place of the root', [aFile('.')], 'empty-name'],
    ['an entry without a name', [aFile('')], 'empty-name'],
    ['a symbolic link without a target', [aSymlink('a', '')], 'empty-name'],
    ['a line feed in a name', [aFile('a\nb')], 'forbidden-character'],
    ['a line feed in a link', [aSymlink('a', 'b\nc')], 'forbidden-character'],
    ['a whiteout of the directory above', [aFile('d/.wh...')], 'whiteout-escape'],
    ['a whiteout of the directory itself', [aFile('d/.wh..')], 'whiteout-escape'],
    ['a whiteout that climbs', [aFile('../.wh.etc')], 'path-escape'],
    ['a whiteout of nothing', [aFile('.wh.')], 'bad-whiteout'],
    ['an entry inside a whiteout', [aFile('.wh.d/x')], 'bad-whiteout'],
  ];

  it.each(cases)('refuses %s', async (_what, entries, reason) => {
    expect(await refusalOf([aLayer(...entries)])).toBe(reason);
  });

  it.each([
    ['an absolute name in a pax record', pax({ path: '/etc/passwd' }, aFile('a')), 'absolute-name'],
    ['an absolute GNU long name', Buffer.concat([gnuLongName('/etc/passwd'), rawEntry(aFile('a'))]), 'absolute-name'],
    ['a NUL in a name', pax({ path: 'a\0b' }, aFile('a')), 'forbidden-character'],
    ['a NUL in a link', pax({ linkpath: 'a\0b' }, aSymlink('a', 'b')), 'forbidden-character'],
    ['a NUL in the name of an attribute', pax({ 'SCHILY.xattr.user.a\0b': 'x' }, aFile('a')), 'forbidden-character'],
    ['a component of 256 bytes', pax({ path: 'x'.repeat(256) }, aFile('a')), 'name-too-long'],
    ['a name of 4096 bytes', pax({ path: 'x/'.repeat(2048) }, aFile('a')), 'name-too-long'],
    [
      'a GNU long name of 4096 bytes',
      Buffer.concat([gnuLongName('x/'.repeat(2048)), rawEntry(aFile('a'))]),
      'name-too-long',
    ],
    ['a symbolic link of 4096 bytes', pax({ linkpath: 'x'.repeat(4096) }, aSymlink('a', 'b')), 'name-too-long'],
  ])('refuses %s', async (_what, bytes, reason) => {
    expect(await refusalOf([layerOf(rawTar(bytes))])).toBe(reason);
  });

  it('refuses a tree that symbolic links make deeper than a path can be', async () => {
    const deep = 'x/'.repeat(1500).slice(0, -1);
    const link = pax({ linkpath: deep }, aSymlink('l', ''));
    expect(await refusalOf([layerOf(rawTar(link, pax({ path: `l/${deep}/f` }, aFile('f'))))])).toBe('name-too-long');
  });
});

describe('hostile headers', () => {
  const bad = rawEntry(aFile('a'));
  bad.writeUInt8(0x41, 0);

  it.each([
    ['a wrong checksum', rawTar(bad), 'bad-header'],
    ['a size that is no number', rawTar(aFile('a', '', { size: Buffer.from('99999999999\0') })), 'bad-header'],
    ['bytes that are no tar', Buffer.from('x'.repeat(2048)), 'bad-header'],
    ['a lone block of zeros between entries', Buffer.concat([Buffer.alloc(512), rawTar(aFile('a'))]), 'bad-header'],
    ['a negative size', rawTar(aFile('a', '', { size: base256(-512) })), 'negative-size'],
    ['a negative size in a pax record', rawTar(pax({ size: '-1' }, aFile('a'))), 'negative-size'],
    ['a negative size of a pax header', rawTar(rawEntry({ name: 'x', type: 'x', size: base256(-1) })), 'negative-size'],
    ['a size that is no number in a pax record', rawTar(pax({ size: '1e9' }, aFile('a'))), 'bad-pax-header'],
    ['a pax record without length', paxOf('path=x\n'), 'bad-pax-header'],
    ['a pax record longer than its header', paxOf('99 path=x\n'), 'bad-pax-header'],
    ['a pax record of length zero', paxOf('0 path=x\n'), 'bad-pax-header'],
    ['a pax record with a negative length', paxOf('-9 path=x\n'), 'bad-pax-header'],
    ['a pax record without end', paxOf('9 path=xy'), 'bad-pax-header'],
    ['a pax record without key', paxOf('5 =x\n'), 'bad-pax-header'],
    ['a pax header of 2 MiB', rawTar(rawEntry({ name: 'x', type: 'x', size: 2_097_152 })), 'metadata-too-large'],
    ['a GNU long name of 2 MiB', rawTar(rawEntry({ name: 'x', type: 'L', size: 2_097_152 })), 'metadata-too-large'],
    ['an owner beyond 32 bits', rawTar(pax({ uid: '4294967295' }, aFile('a'))), 'bad-header'],
    ['a negative owner', rawTar(pax({ gid: '-1' }, aFile('a'))), 'bad-header'],
    ['a device number that Linux has not', rawTar({ name: 'a', type: '4', major: 0o7777777 }), 'bad-header'],
    ['a continued volume', rawTar({ name: 'a', type: 'M' }), 'unsupported-entry'],
    ['an unknown type', rawTar({ name: 'a', type: 'Z' }), 'unsupported-entry'],
  ])('refuses %s', async (_what, bytes, reason) => {
    expect(await refusalOf([layerOf(bytes)])).toBe(reason);
  });

  it('takes names from V7 headers, old signed checksums and GNU headers with rubbish in the device fields', async () => {
    const signed = rawEntry(aFile('caf\xe9', 'x', { magic: '\0\0\0\0\0\0\0\0' }));
    const sum = Number.parseInt(signed.toString('latin1', 148, 154), 8) - 0x100;
    signed.write(sum.toString(8).padStart(6, '0'), 148);
    const gnu = rawEntry(aFile('b', '', { magic: 'ustar  \0' })).fill('x', 329, 345);
    expect(await refusalOf([layerOf(rawTar(signed, withChecksum(gnu)))])).toBe('tree');
  });

  it('ignores the size of what has no contents, as Go archive/tar does', async () => {
    const link = aFile('b', '', { type: '1', link: 'a', size: 4096 });
    expect(await refusalOf([layerOf(rawTar(aFile('a', 'x'), link, aDirectory('d', { size: 4096 }), aFile('c')))])).toBe(
      'tree',
    );
  });

  it('ignores global pax records, as container runtimes do', async () => {
    const global = paxEntry([['path', '../evil']], 'g');
    expect(await refusalOf([layerOf(rawTar(global, aFile('a')))])).toBe('tree');
  });
});

describe('hostile ends', () => {
  const whole = rawTar(aFile('a', 'x'.repeat(2000)), aFile('b'));

  it.each([
    ['in a header', 300],
    ['in contents', 1000],
  ])('refuses a tar that ends %s', async (_where, length) => {
    expect(await refusalOf([layerOf(whole.subarray(0, length))])).toBe('truncated');
  });

  it.each([
    ['a pax header', paxEntry([['path', 'x']])],
    ['a long name', gnuLongName('x')],
    ['a long link name', gnuLongName('x', 'K')],
  ])('refuses a tar that ends behind %s, with and without an end mark', async (_what, bytes) => {
    expect(await refusalOf([layerOf(bytes)])).toBe('truncated');
    expect(await refusalOf([layerOf(Buffer.concat([bytes, TAR_END_MARK]))])).toBe('truncated');
  });

  it('refuses bytes behind the end mark, which some programs would read and others not', async () => {
    expect(await refusalOf([layerOf(Buffer.concat([whole, Buffer.from('x')]))])).toBe('trailing-data');
    expect(await refusalOf([layerOf(Buffer.concat([whole, rawTar(aFile('c'))]), 700)])).toBe('trailing-data');
  });

  it('takes zeros behind the end mark (GNU tar fills its record of 20 blocks), a tar without any end mark, and one without padding', async () => {
    expect(await refusalOf([layerOf(Buffer.concat([whole, Buffer.alloc(9216)]), 1000)])).toBe('tree');
    expect(await refusalOf([layerOf(whole.subarray(0, -1024))])).toBe('tree');
    expect(await refusalOf([layerOf(whole.subarray(0, 512 + 2000))])).toBe('tree');
    expect(await refusalOf([layerOf(whole.subarray(0, -512))])).toBe('tree');
    expect(await refusalOf([layerOf(Buffer.alloc(0))])).toBe('tree');
  });
});

describe('hostile sizes', () => {
  it('refuses a file of 10 TB by its header, however it is told', async () => {
    const sparse = {
      'GNU.sparse.major': '1',
      'GNU.sparse.minor': '0',
      'GNU.sparse.name': 'a',
      'GNU.sparse.realsize': `${TEN_TERABYTES}`,
    };
    expect(await refusalOf([layerOf(rawTar(aFile('a', '', { size: base256(TEN_TERABYTES) })))])).toBe('file-too-large');
    expect(await refusalOf([layerOf(rawTar(pax({ size: `${TEN_TERABYTES}` }, aFile('a'))))])).toBe('file-too-large');
    expect(await refusalOf([layerOf(rawTar(pax(sparse, aFile('a', '0\n'))))])).toBe('file-too-large');
  });

  it('refuses many sparse files that are too large together', async () => {
    const files = Array.from({ length: 70 }, (_, index) => {
      const records = {
        'GNU.sparse.size': '1000000000',
        'GNU.sparse.map': '1000000000,0',
        'GNU.sparse.name': `f${index}`,
      };
      return pax(records, aFile('a'));
    });
    expect(await refusalOf([layerOf(rawTar(...files))])).toBe('image-too-large');
  });

  it.each([
    ['segments that overlap', '0,512,100,512'],
    ['segments out of order', '1024,512,0,512'],
    ['a segment behind the end', '0,512,4000,512'],
    ['more than is stored', '0,512,600,600'],
    ['less than is stored', '0,512'],
    ['an offset without length', '0,512,1024'],
    ['what is no number', '0,x'],
  ])('refuses a sparse map with %s', async (_what, map) => {
    const records = {
      'GNU.sparse.size': '4096',
      'GNU.sparse.numblocks': '2',
      'GNU.sparse.map': map,
      'GNU.sparse.name': 'a',
    };
    expect(await refusalOf([layerOf(rawTar(pax(records, aFile('a', Buffer.alloc(1024)))))])).toBe('bad-sparse-map');
  });

  it.each([
    ['does not end', '9\n1\n1\n'],
    ['is no number', 'map'],
    ['is absent', ''],
  ])('refuses a sparse file whose leading map %s', async (_what, map) => {
    const records = {
      'GNU.sparse.major': '1',
      'GNU.sparse.minor': '0',
      'GNU.sparse.name': 'a',
      'GNU.sparse.realsize': '9',
    };
    const content = map === '' ? '' : Buffer.concat([Buffer.from(map), Buffer.alloc(512 - map.length, '\n')]);
    expect(await refusalOf([layerOf(rawTar(pax(records, aFile('a', content))))])).toBe('bad-sparse-map');
  });

  it('refuses a layer that unpacks to more than 200 times its size, once it is past 64 MiB', async () => {
    const zeros = Buffer.alloc(66 * 1024 * 1024);
    const bomb = { ...layerOf(rawTar(aFile('a', zeros))), compressedBytes: 70_000 };
    expect(await refusalOf([bomb])).toBe('compression-ratio');
    expect(await refusalOf([{ ...bomb, compressedBytes: 1_000_000 }])).toBe('tree');
  });

  it('refuses layers beyond their limits: one, and all together', async () => {
    const layer = aLayer(aFile('a', 'x'.repeat(5000)));
    expect(await refusalOf([layer], { layerBytes: 5000 })).toBe('layer-too-large');
    expect(await refusalOf([layer, layer, layer], { imageBytes: 15_000 })).toBe('image-too-large');
    expect(await refusalOf([layer], { fileBytes: 4999 })).toBe('file-too-large');
  });

  it('refuses a million entries, and directories that only paths imply count too', async () => {
    let made = 0;
    const block = rawEntry(aFile('a'));
    const entries = Buffer.concat(Array.from({ length: 1000 }, () => block));
    const endless: LayerSource = {
      compressedBytes: 1_000_000_000,
      open: () =>
        Readable.from(
          (function* () {
            for (; made < 1_000_000; made += 1000) yield entries;
          })(),
        ),
    };
    expect(await refusalOf([endless])).toBe('too-many-entries');
    expect(made).toBeLessThanOrEqual(501_000);
    expect(await refusalOf([aLayer(aFile('a/b/c/d/e/f'))], { entries: 5 })).toBe('too-many-entries');
  });

  it('refuses metadata that would fill the memory: names, attributes, and links followed again and again', async () => {
    const limits = { metadataBytes: 10_000 };
    const attribute = pax({ 'SCHILY.xattr.user.a': 'x'.repeat(10_000) }, aFile('a'));
    expect(await refusalOf([layerOf(rawTar(attribute))], limits)).toBe('metadata-too-large');
    expect(await refusalOf([layerOf(rawTar(pax({ 'SCHILY.xattr.user.a': 'x'.repeat(65_537) }, aFile('a'))))])).toBe(
      'metadata-too-large',
    );
    const target = `${'./'.repeat(45)}d`;
    const follow = Array.from({ length: 120 }, (_, index) => aFile(`l/${index}`));
    expect(await refusalOf([aLayer(aDirectory('d'), aSymlink('l', target), ...follow)], limits)).toBe(
      'metadata-too-large',
    );
  });

  it('counts different attributes and directories with what they take in memory, and attributes that files share once', async () => {
    const limits = { metadataBytes: 20_000 };
    const files = (value: (index: number) => string) =>
      Array.from({ length: 100 }, (_, index) => pax({ 'SCHILY.xattr.user.a': value(index) }, aFile(`f${index}`)));
    expect(await refusalOf([layerOf(rawTar(...files(String)))], limits)).toBe('metadata-too-large');
    expect(await refusalOf([layerOf(rawTar(...files(() => 'system_u:object_r:usr_t:s0')))], limits)).toBe('tree');
    const directories = Array.from({ length: 100 }, (_, index) => aDirectory(`d${index}`));
    expect(await refusalOf([aLayer(...directories)], limits)).toBe('metadata-too-large');
  });

  it('names the layer, and does not open the ones above it', async () => {
    const never: LayerSource = {
      compressedBytes: 0,
      open: () => {
        throw new Error('opened');
      },
    };
    const outcome = await scanLayers([aLayer(aFile('a')), aLayer(aFile('../x')), never]);
    expect(outcome).toEqual({
      kind: 'refused',
      reason: 'path-escape',
      detail: '"../x" climbs out by ".." (layer 2 of 3)',
    });
  });
});

describe('sources that fail', () => {
  function failing(error: Error): { layer: LayerSource; stream: Readable } {
    const stream = new Readable({ read: () => undefined });
    stream.push(rawEntry(aFile('a')));
    setImmediate(() => stream.destroy(error));
    return { stream, layer: { compressedBytes: 1, open: () => stream } };
  }

  it('refuses a layer that does not decompress', async () => {
    expect(await refusalOf([failing(new CorruptLayerError('incorrect data check')).layer])).toBe('corrupt-layer');
  });

  it('fails as the source fails, because a broken disk says nothing about the image', async () => {
    await expect(scanLayers([failing(new Error('EIO')).layer])).rejects.toThrow('EIO');
  });

  it('closes the source of a layer that it refuses', async () => {
    const stream = Readable.from([rawTar(aFile('../a')), Buffer.alloc(10), Buffer.alloc(10)]);
    expect(await refusalOf([{ compressedBytes: 1, open: () => stream }])).toBe('path-escape');
    expect(stream.destroyed).toBe(true);
  });
});
