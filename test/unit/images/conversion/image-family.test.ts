import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideFamily, type Evidence } from '../../../../src/images/conversion/image-family.ts';
import { judgeInitrd } from '../../../../src/images/conversion/judge-initrd.ts';
import { scanInitrd } from '../../../../src/images/conversion/scan-initrd.ts';
import { openDecompressor } from '../../../../src/platform/decompressors.ts';
import { aCpio, aMicrocode, DRACUT_NAMES, PACKERS } from '../../../support/initrd-builders.ts';

async function namesIn(bytes: Buffer, chunkBytes = 65_536) {
  const chunks = Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, index) =>
    bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  );
  const names: string[] = [];
  const scan = await scanInitrd(Readable.from(chunks), openDecompressor, (name) => names.push(name));
  return { scan, names };
}

describe('scanInitrd', () => {
  it.each(['none', 'gzip', 'zstd', 'xz'] as const)('reads names packed with %s, behind microcode', async (packer) => {
    const bytes = Buffer.concat([
      aMicrocode(),
      PACKERS[packer](aCpio(['init', './usr/bin/immucore', '/etc/hosts'], 70_001)),
    ]);
    const { scan, names } = await namesIn(bytes);
    expect(scan).toEqual({ kind: 'scanned', entries: 6 });
    expect(names).toEqual(['kernel/x86/microcode/GenuineIntel.bin', 'init', 'usr/bin/immucore', 'etc/hosts']);
  });

  it('does not mind how the bytes are cut', async () => {
    const bytes = Buffer.concat([aMicrocode(), aCpio(['a', 'b/c'], 3), PACKERS.gzip(aCpio(['d'], 9))]);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 700 }), async (chunkBytes) => {
        expect((await namesIn(bytes, chunkBytes)).names.slice(1)).toEqual(['a', 'b/c', 'd']);
      }),
      { numRuns: 60 },
    );
  });

  it('takes zeros after the compressed part as padding', async () => {
    const bytes = Buffer.concat([PACKERS.gzip(aCpio(['init'])), Buffer.alloc(4096)]);
    expect((await namesIn(bytes)).names).toEqual(['init']);
  });

  it.each([
    ['bytes that are no initrd', Buffer.from('#!/bin/sh and more'), /neither a cpio archive nor compressed/],
    ['an archive that ends in the middle', aCpio(['init']).subarray(0, 150), /ends in the middle/],
    ['a compressed part that ends in the middle', PACKERS.gzip(aCpio(['init'], 50_000)).subarray(0, 60), /damaged/],
    ['something else inside the compressed part', PACKERS.gzip(Buffer.from('hello world')), /no cpio archive/],
    ['a name that is too long', Buffer.from(`070701${'0'.repeat(88)}ffffffff${'0'.repeat(8)}`), /damaged/],
    [
      'a packer that may not be installed',
      Buffer.from('0221 4c18 0000 0000'.replaceAll(' ', ''), 'hex'),
      /unpacks lz4|damaged|no files/,
    ],
  ])('says of %s that nobody can look inside', async (_, bytes, reason) => {
    const { scan } = await namesIn(bytes);
    expect(scan).toMatchObject({ kind: 'opaque', reason: expect.stringMatching(reason) });
  });

  it('never hangs and never throws, whatever comes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.boolean(), async (bytes, isPacked) => {
        const content = isPacked ? PACKERS.gzip(Buffer.from(bytes)) : Buffer.from(bytes);
        expect(['scanned', 'opaque']).toContain((await namesIn(content)).scan.kind);
      }),
      { numRuns: 200 },
    );
  });
});

describe('decideFamily', () => {
  const decide = (evidence: readonly Evidence[], isKairos = false) => decideFamily(new Set(evidence), isKairos);

  it.each([
    ['dracut with both live modules', ['dracut', 'livenet', 'dmsquashLive'], false, 'dracut-livenet'],
    ['Kairos on dracut', ['dracut', 'livenet', 'dmsquashLive', 'immucore'], true, 'kairos'],
    ['Kairos on Alpine, whose own init fetches', ['immucore', 'mkinitfs'], true, 'kairos'],
    ['live-boot', ['liveBoot', 'initramfsTools'], false, 'debian-live'],
  ] as const)('knows %s', (_, evidence, isKairos, family) => {
    expect(decide(evidence, isKairos)).toEqual({ kind: 'family', family });
  });

  it.each([
    [
      'dracut without livenet',
      ['dracut', 'dmsquashLive'],
      false,
      'dracut --force --no-hostonly --add "livenet dmsquash-live"',
    ],
    ['Kairos without livenet', ['dracut', 'immucore'], true, 'livenet dmsquash-live immucore network'],
    ['initramfs-tools alone', ['initramfsTools'], false, 'apt-get install live-boot'],
    ['casper, which fetches ISO files alone', ['casper', 'initramfsTools'], false, '--family casper'],
    ["Alpine's own initramfs", ['mkinitfs'], false, 'apk add dracut'],
    ['what nobody knows', [], false, 'dracut'],
  ] as const)('names what to add to %s', (_, evidence, isKairos, fix) => {
    expect(decide(evidence, isKairos)).toMatchObject({ kind: 'cannot-netboot', fix: expect.stringContaining(fix) });
  });
});

describe('judgeInitrd', () => {
  const judge = (content: Buffer) =>
    judgeInitrd({ path: '/boot/initrd', content: Readable.from([content]), isKairos: false }, openDecompressor);

  it('goes from the bytes to the family', async () => {
    expect(await judge(PACKERS.zstd(aCpio(DRACUT_NAMES)))).toEqual({ kind: 'family', family: 'dracut-livenet' });
  });

  it('refuses with a code, the file and the fix', async () => {
    expect(await judge(PACKERS.gzip(aCpio(['usr/lib/dracut/modules.txt'])))).toMatchObject({
      kind: 'refused',
      refusal: {
        code: 'initrd-cannot-netboot',
        detail: expect.stringMatching(/^\/boot\/initrd cannot fetch .*livenet and dmsquash-live.*Fix: /),
      },
    });
    expect(await judge(Buffer.from('rubbish'))).toMatchObject({ refusal: { code: 'initrd-unreadable' } });
  });
});
