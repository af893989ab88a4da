import { execFileSync } from 'node:child_process';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { sealBoot, sealFiles } from '../../../src/boot/boot-seal.ts';
import { buildTokenInitrd } from '../../../src/boot/build-token-initrd.ts';
import type { BootImage } from '../../../src/images/boot-image.ts';
import { loadSealAssets } from '../../../src/platform/initrd-assets.ts';
import { aDigest } from '../../support/domain-builders.ts';
import { sha256 } from '../../support/signature-builders.ts';

const IMAGE: BootImage = {
  name: 'fleet/os',
  digest: aDigest('a'),
  family: 'dracut-livenet',
  kernel: { digest: aDigest('1'), sizeBytes: 1 },
  initrd: { digest: aDigest('2'), sizeBytes: 2 },
  squashfs: { digest: aDigest('3'), sizeBytes: 3 },
  commandLine: [],
  os: { id: 'debian' },
  architecture: 'amd64',
};

describe('sealBoot', () => {
  it('names the image and the digests of its three parts, one member on a line, and pins these very bytes', () => {
    const seal = sealBoot(IMAGE, 'when-possible', sha256);
    const text = Buffer.from(seal!.manifest).toString();
    expect(text).toBe(
      [
        '{',
        '  "schema": "muster.boot/v1",',
        `  "image": "fleet/os@${aDigest('a')}",`,
        `  "kernel": "${aDigest('1')}",`,
        `  "initrd": "${aDigest('2')}",`,
        `  "squashfs": "${aDigest('3')}"`,
        '}\n',
      ].join('\n'),
    );
    expect(seal!.words).toEqual([`muster.boot=sha256:${sha256(text)}`]);
    expect(sealBoot(IMAGE, 'required', sha256)!.words).toContain('muster.verify=required');
  });

  it('seals only boots that a dracut initrd can check', () => {
    expect(sealBoot(IMAGE, 'off', sha256)).toBeUndefined();
    expect(sealBoot({ ...IMAGE, family: 'debian-live' }, 'required', sha256)).toBeUndefined();
    expect(sealBoot({ ...IMAGE, family: 'kairos' }, 'required', sha256)).toBeDefined();
  });
});

describe('the second initrd of a sealed boot', () => {
  it('lists every parent once, before its files, and nothing below lib or dracut/hooks', async () => {
    const seal = sealBoot(IMAGE, 'required', sha256)!;
    const files = sealFiles(seal, Buffer.from('signature'), await loadSealAssets('.'));
    const archive = gunzipSync(buildTokenInitrd('t0ken', files));
    const names = pipe(archive, 'cpio', ['-tn', '--quiet']).trim().split('\n');
    expect(names).toEqual([
      'muster',
      'muster/token',
      'usr',
      'usr/lib',
      'usr/lib/tmpfiles.d',
      'usr/lib/tmpfiles.d/muster.conf',
      'muster/boot.json',
      'muster/boot.json.sig',
      'usr/lib/muster',
      'usr/lib/muster/verify-root.sh',
      'usr/lib/systemd',
      'usr/lib/systemd/system',
      'usr/lib/systemd/system/muster-verify-root.service',
      'usr/lib/systemd/system/sysroot.mount.d',
      'usr/lib/systemd/system/sysroot.mount.d/muster.conf',
      'usr/lib/systemd/system/initrd-root-fs.target.d',
      'usr/lib/systemd/system/initrd-root-fs.target.d/muster.conf',
      'usr/lib/tmpfiles.d/muster-boot.conf',
    ]);
  });
});

/** What a program writes when these bytes are its standard input. */
function pipe(input: Uint8Array, command: string, args: readonly string[]): string {
  return execFileSync(command, args, { input, encoding: 'utf8' });
}
