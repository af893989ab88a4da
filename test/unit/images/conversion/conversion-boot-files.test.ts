import { describe, expect, it } from 'vitest';
import { findBootFiles } from '../../../../src/images/conversion/find-boot-files.ts';
import { scanLayers } from '../../../../src/images/flatten/scan-layers.ts';
import { aFile, aLayer, aSymlink, type RawEntry } from '../../../support/layer-builders.ts';

async function find(...entries: readonly (RawEntry | string)[]) {
  const layer = aLayer(...entries.map((entry) => (typeof entry === 'string' ? aFile(entry, 'x') : entry)));
  const scan = await scanLayers([layer]);
  if (scan.kind !== 'tree') throw new Error(scan.detail);
  const found = findBootFiles(scan.tree);
  return found.kind === 'found'
    ? { kernel: found.kernel.path, initrd: found.initrd.path, version: found.kernelVersion }
    : found;
}

describe('findBootFiles', () => {
  it("follows Kairos's links inside the image, also absolute ones", async () => {
    expect(
      await find(
        ...['boot/vmlinuz-6.4.0', 'boot/initrd-6.4.0'],
        aSymlink('boot/vmlinuz', 'vmlinuz-6.4.0'),
        aSymlink('boot/initrd', '/boot/initrd-6.4.0'),
      ),
    ).toEqual({ kernel: '/boot/vmlinuz-6.4.0', initrd: '/boot/initrd-6.4.0', version: '6.4.0' });
  });

  it('takes the newest kernel, and the initrd of the same version (Debian)', async () => {
    const versions = ['6.1.0-9-amd64', '6.1.0-42-amd64', '5.10.0-99-amd64'];
    const files = versions.flatMap((version) => [`boot/vmlinuz-${version}`, `boot/initrd.img-${version}`]);
    expect(await find(...files)).toEqual({
      kernel: '/boot/vmlinuz-6.1.0-42-amd64',
      initrd: '/boot/initrd.img-6.1.0-42-amd64',
      version: '6.1.0-42-amd64',
    });
  });

  it.each([
    ['Alpine', ['boot/vmlinuz-lts', 'boot/initramfs-lts'], '/boot/initramfs-lts'],
    [
      'Fedora',
      ['boot/vmlinuz-6.8.5-301.fc40', 'boot/initramfs-6.8.5-301.fc40.img'],
      '/boot/initramfs-6.8.5-301.fc40.img',
    ],
    [
      'bootc images',
      ['usr/lib/modules/6.8.5/vmlinuz', 'usr/lib/modules/6.8.5/initramfs.img'],
      '/usr/lib/modules/6.8.5/initramfs.img',
    ],
    ['the layout of a Kairos ISO', ['boot/kernel', 'boot/initrd'], '/boot/initrd'],
    ['arm64', ['boot/Image-6.6', 'boot/initrd.img-6.6'], '/boot/initrd.img-6.6'],
  ])('knows where %s have them', async (_, files, initrd) => {
    expect(await find(...files)).toMatchObject({ initrd });
  });

  it('passes over initrds for rescue and crash dumps, empty files and links to nowhere', async () => {
    expect(
      await find(
        ...[
          'boot/vmlinuz-6.8',
          'boot/initramfs-6.9kdump.img',
          'boot/initramfs-0-rescue-abc.img',
          'boot/initramfs-6.8.img',
        ],
        aSymlink('boot/vmlinuz', '../../../nowhere'),
        aFile('boot/initrd', ''),
      ),
    ).toMatchObject({ kernel: '/boot/vmlinuz-6.8', initrd: '/boot/initramfs-6.8.img' });
  });

  it('never leaves the image by its links', async () => {
    expect(await find(aSymlink('boot/vmlinuz', '../../../../../../etc/hostname'), 'boot/initrd')).toMatchObject({
      kind: 'no-kernel',
    });
    expect(await find(aSymlink('boot/vmlinuz', 'vmlinuz'), 'boot/initrd')).toMatchObject({ kind: 'no-kernel' });
  });

  it('says what is missing', async () => {
    expect(await find('etc/hostname')).toMatchObject({ kind: 'no-kernel', hasUnifiedImage: false });
    expect(await find('boot/EFI/Linux/kairos.efi')).toMatchObject({ kind: 'no-kernel', hasUnifiedImage: true });
    expect(await find('boot/vmlinuz-6.1')).toMatchObject({ kind: 'no-initrd', kernel: '/boot/vmlinuz-6.1' });
  });
});
