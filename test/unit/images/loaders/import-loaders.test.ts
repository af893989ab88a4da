import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { importLoaders } from '../../../../src/images/loaders/import-loaders.ts';
import { parseLoaderCatalogue, type LoaderRecord } from '../../../../src/images/loaders/loaders.ts';
import { MemoryBlobStore } from '../../../../src/storage/memory/memory-blob-store.ts';

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');

const CATALOGUE = `
loaders:
  - name: ipxe.efi
    architecture: x64-uefi
    file: /usr/lib/ipxe/ipxe.efi
    package: ipxe
    licence: GPL-2.0-or-later
    versions:
      - { version: '2', sha256: ${sha256('newer')} }
      - { version: '1', sha256: ${sha256('older')} }
`;

describe('importLoaders', () => {
  it('stores the installed file and tells its version by its digest', async () => {
    const world = aWorld('older');
    expect(await importLoaders(world.parts)).toEqual([
      {
        name: 'ipxe.efi',
        architecture: 'x64-uefi',
        digest: `sha256:${sha256('older')}`,
        sizeBytes: 5,
        package: 'ipxe',
        version: '1',
        licence: 'GPL-2.0-or-later',
        tested: true,
      },
    ]);
    expect(world.untested).toEqual([]);
    expect(await world.parts.blobs.size(`sha256:${sha256('older')}` as never)).toBe(5);
  });

  it('serves a version that it does not know, because apt has checked it, and tells that it is untested', async () => {
    const world = aWorld('from the future');
    expect(await importLoaders(world.parts)).toMatchObject([{ tested: false, version: 'unknown' }]);
    expect(world.untested).toMatchObject([{ name: 'ipxe.efi' }]);
  });

  it('needs no file where a tested version is in the store already', async () => {
    const world = aWorld('newer');
    await importLoaders(world.parts);
    const later = { ...world.parts, readFile: () => Promise.resolve(undefined) };
    expect(await importLoaders(later)).toMatchObject([{ version: '2', sizeBytes: 5, tested: true }]);
  });

  it('names the package and the command when a file is missing', async () => {
    await expect(importLoaders(aWorld(undefined).parts)).rejects.toMatchObject({
      code: 'missing-loader',
      message: expect.stringMatching(/\/usr\/lib\/ipxe\/ipxe\.efi.*\n.*apt-get install .*ipxe$/),
    });
  });
});

describe('parseLoaderCatalogue', () => {
  it('reads the catalogue that comes with Muster: two loaders for UEFI, two for BIOS', async () => {
    const file = resolve(import.meta.dirname, '../../../../boot-assets/loaders.yaml');
    const loaders = parseLoaderCatalogue(await readFile(file, 'utf8'));
    expect(loaders.map(({ name, architecture }) => `${architecture} ${name}`)).toEqual([
      'x64-uefi ipxe.efi',
      'x64-uefi snponly.efi',
      'x86-bios undionly.kpxe',
      'x86-bios ipxe.pxe',
    ]);
  });

  it.each([
    ['no YAML', 'loaders: ['],
    ['a wrong digest', CATALOGUE.replace(sha256('newer'), 'abc')],
    ['an unknown architecture', CATALOGUE.replace('x64-uefi', 'z80')],
    ['a file without its whole path', CATALOGUE.replace('/usr/lib/ipxe/', '')],
    ['two loaders of one name', CATALOGUE + CATALOGUE.replace('\nloaders:\n', '')],
  ])('refuses %s', (_, text) => {
    expect(() => parseLoaderCatalogue(text)).toThrow(expect.objectContaining({ code: 'missing-loader' }));
  });
});

function aWorld(content: string | undefined) {
  const untested: LoaderRecord[] = [];
  const parts = {
    catalogueText: CATALOGUE,
    readFile: () => Promise.resolve(content === undefined ? undefined : Buffer.from(content)),
    blobs: new MemoryBlobStore(),
    sha256,
    onUntested: (loader: LoaderRecord) => void untested.push(loader),
  };
  return { parts, untested };
}
