import { describe, expect, it } from 'vitest';
import { displayPath, listDirectory, readCaptured, resolvePath } from '../../../../src/images/flatten/find-in-tree.ts';
import { aDirectory, aFile, aLayer, aSymlink, scanned } from '../../../support/layer-builders.ts';

const layer = aLayer(
  aFile('usr/lib/os-release', 'ID=kairos\n'),
  aSymlink('etc/os-release', '../usr/lib/os-release'),
  aFile('boot/vmlinuz-6.1.0-18', 'kernel'),
  aFile('boot/vmlinuz-6.1.0-9', 'old'),
  aSymlink('boot/vmlinuz', '/boot/vmlinuz-6.1.0-18'),
  aSymlink('vmlinuz', 'boot/vmlinuz'),
  aSymlink('lib', 'usr/lib'),
  aSymlink('up', '../../../../boot'),
  aSymlink('nowhere', '/host/etc/shadow'),
  aSymlink('round', 'round'),
  aDirectory('empty'),
  aFile('caf\xc3\xa9/men\xc3\xbc', 'x'),
);
const options = { capture: new Set(['os-release']) };

describe('resolvePath', () => {
  it.each([
    ['/boot/vmlinuz', '/boot/vmlinuz-6.1.0-18'],
    ['vmlinuz', '/boot/vmlinuz-6.1.0-18'],
    ['/lib/os-release', '/usr/lib/os-release'],
    ['/up/vmlinuz-6.1.0-9', '/boot/vmlinuz-6.1.0-9'],
    ['/../../boot/./', '/boot'],
    ['/', '/'],
    ['/café/menü', '/café/menü'],
  ])('leads %s to %s, inside the image only', async (path, found) => {
    const outcome = resolvePath(await scanned([layer]), path);
    expect(outcome.kind === 'found' && displayPath(outcome.entry)).toBe(found);
  });

  it.each([
    ['/nowhere', 'missing'],
    ['/boot/initrd', 'missing'],
    ['/round', 'symlink-loop'],
    ['/round/x', 'symlink-loop'],
    ['/vmlinuz/x', 'not-a-directory'],
  ])('says why %s leads nowhere: %s', async (path, reason) => {
    expect(resolvePath(await scanned([layer]), path).kind).toBe(reason);
  });
});

describe('listDirectory', () => {
  it('lists by name, in byte order, also through a symbolic link; nothing where there is no directory', async () => {
    const tree = await scanned([layer]);
    const names = (path: string) => listDirectory(tree, path).map((entry) => entry.name);
    expect(names('/up')).toEqual(['vmlinuz', 'vmlinuz-6.1.0-18', 'vmlinuz-6.1.0-9']);
    expect(names('/empty')).toEqual([]);
    expect(names('/vmlinuz')).toEqual([]);
    expect(names('/absent')).toEqual([]);
  });
});

describe('readCaptured', () => {
  it('reads a captured file through symbolic links, and nothing else', async () => {
    const tree = await scanned([layer], options);
    expect(readCaptured(tree, '/etc/os-release')).toBe('ID=kairos\n');
    expect(readCaptured(tree, '/boot/vmlinuz')).toBeUndefined();
    expect(readCaptured(tree, '/absent')).toBeUndefined();
  });

  it('does not keep a file beyond 64 KiB', async () => {
    const tree = await scanned([aLayer(aFile('os-release', 'x'.repeat(65_537)))], options);
    expect(readCaptured(tree, '/os-release')).toBeUndefined();
  });
});
