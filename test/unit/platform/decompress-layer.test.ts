import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CorruptLayerError, layerCompression } from '../../../src/images/flatten/layer-source.ts';
import { decompressLayer } from '../../../src/platform/decompress-layer.ts';

const tar = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * index) % 251));

function inPieces(bytes: Buffer, pieceBytes: number): Readable {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes));
  return Readable.from(pieces, { objectMode: false });
}

/** RFC 8878 §3.1.2: frames that carry no contents, as zstd:chunked puts its table of contents. */
function skippable(bytes: number): Buffer {
  const frame = Buffer.alloc(8 + bytes, 0xaa);
  frame.writeUInt32LE(0x184d_2a50);
  frame.writeUInt32LE(bytes, 4);
  return frame;
}

describe('decompressLayer', () => {
  it.each([
    ['gzip', gzipSync(tar)],
    ['zstd', zstdCompressSync(tar)],
    ['none', tar],
  ] as const)('unpacks %s', async (compression, bytes) => {
    expect((await buffer(decompressLayer(inPieces(bytes, 1000), compression))).equals(tar)).toBe(true);
  });

  it('unpacks gzip layers of several members (RFC 1952 §2.2), as eStargz has them', async () => {
    const bytes = Buffer.concat([gzipSync(tar.subarray(0, 1000)), gzipSync(tar.subarray(1000))]);
    expect((await buffer(decompressLayer(inPieces(bytes, 700), 'gzip'))).equals(tar)).toBe(true);
  });

  it.each([1, 7, 1000, 1_000_000])('unpacks zstd layers of many frames, in pieces of %i bytes', async (pieceBytes) => {
    const frames = [0, 1, 2, 3, 4].map((part) => zstdCompressSync(tar.subarray(part * 60_000, (part + 1) * 60_000)));
    const zeros = zstdCompressSync(Buffer.alloc(500_000));
    const bytes = Buffer.concat([skippable(3), ...frames, skippable(0), zeros, skippable(500)]);
    const unpacked = await buffer(decompressLayer(inPieces(bytes, pieceBytes), 'zstd'));
    expect(unpacked.equals(Buffer.concat([tar, Buffer.alloc(500_000)]))).toBe(true);
  });

  it.each([
    ['gzip that is no gzip', 'gzip', tar],
    ['gzip without its end', 'gzip', gzipSync(tar).subarray(0, -9)],
    ['gzip with a flipped byte', 'gzip', flipped(gzipSync(tar))],
    ['gzip with garbage behind', 'gzip', Buffer.concat([gzipSync(tar), Buffer.from('garbage')])],
    ['an empty blob', 'gzip', Buffer.alloc(0)],
    ['zstd that is no zstd', 'zstd', tar],
    ['zstd without its end', 'zstd', zstdCompressSync(tar).subarray(0, -9)],
    ['zstd with a reserved block type', 'zstd', Buffer.from('28b52ffd2000ffffff', 'hex')],
    ['zstd with garbage behind', 'zstd', Buffer.concat([zstdCompressSync(tar), Buffer.from('garbage')])],
    ['zstd that wants a window of 2 GiB', 'zstd', Buffer.from('28b52ffd00a8010000', 'hex')],
  ] as const)('fails with CorruptLayerError for %s', async (_what, compression, bytes) => {
    await expect(buffer(decompressLayer(inPieces(bytes, 4096), compression))).rejects.toBeInstanceOf(CorruptLayerError);
  });

  it('fails as the blob fails', async () => {
    for (const compression of ['gzip', 'zstd', 'none'] as const) {
      const blob = new PassThrough();
      const unpacked = buffer(decompressLayer(blob, compression));
      blob.destroy(new Error('EIO'));
      await expect(unpacked).rejects.toThrow('EIO');
    }
  });

  it('closes the blob with the stream, before and behind the first piece', async () => {
    for (const compression of ['gzip', 'zstd', 'none'] as const) {
      const [unread, read] = [
        inPieces(gzipSync(tar), 100),
        inPieces(compression === 'gzip' ? gzipSync(tar) : zstdCompressSync(tar), 100),
      ];
      const first = decompressLayer(unread, compression);
      first.destroy();
      for await (const _ of decompressLayer(read, compression)) break;
      await new Promise((resolve) => setImmediate(resolve));
      expect([unread.destroyed, read.destroyed]).toEqual([true, true]);
    }
  });
});

describe('layerCompression', () => {
  it('knows the media types of OCI and docker layers, and nothing else', () => {
    expect(layerCompression('application/vnd.oci.image.layer.v1.tar+zstd')).toBe('zstd');
    expect(layerCompression('application/vnd.docker.image.rootfs.diff.tar.gzip')).toBe('gzip');
    expect(layerCompression('application/vnd.oci.image.layer.v1.tar')).toBe('none');
    expect(layerCompression('application/vnd.muster.boot.kernel')).toBeUndefined();
  });
});

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(copy.length - 6) ^ 0xff, copy.length - 6);
  return copy;
}
