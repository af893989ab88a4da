import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureLabImage } from '../../../vm-lab/image.ts';

// A recipe in the place of the real one, which needs root and the network: it writes down each time it builds a layer.
const RECIPE = `#!/bin/sh
set -eu
exec 3>&1 >>"$4" 2>&1
echo building >&3
if [ ! -d "$1" ]; then mkdir "$1"; echo base >>"$(dirname "$1")/built"; fi
if [ ! -d "$2" ]; then sleep 0.2; mkdir "$2"; echo image >>"$(dirname "$2")/built"; fi
`;

let project: string;
let cache: string;
let lines: string[];
const ensure = () =>
  ensureLabImage((line) => lines.push(line), { projectDirectory: project, cacheDirectory: cache, missing: () => [] });
const put = (name: string, text: string): void => {
  mkdirSync(join(project, name, '..'), { recursive: true });
  writeFileSync(join(project, name), text);
};
const built = (): string[] => readFileSync(join(cache, 'built'), 'utf8').trim().split('\n');

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'muster-image-'));
  cache = join(project, 'cache');
  lines = [];
  put('vm-lab/image/build-image.sh', RECIPE);
  put('vm-lab/image/base.sh', 'base');
  put('vm-lab/image/layer.sh', 'layer');
  put('vm-lab/image/packages.txt', 'systemd');
  put('vm-lab/image/files/etc/motd', 'hello');
  put('boot-assets/agent/muster-agent', 'agent');
  put('boot-assets/agent/README.md', 'words');
  put('boot-assets/dracut/README.md', 'words');
});
afterEach(() => {
  rmSync(project, { recursive: true });
});

describe('ensureLabImage', () => {
  it('builds an image once, says so with the seconds it took, and finds it again without a word', async () => {
    const first = await ensure();
    expect(lines.every((line) => /^lab image, \d+ s: /.test(line))).toBe(true);
    expect(lines.at(-1)).toContain('ready');
    lines = [];
    expect(await ensure()).toEqual(first);
    expect(lines).toEqual([]);
    expect(built()).toEqual(['base', 'image']);
    expect(first.digest).toMatch(/^[0-9a-f]{64}$/);
    expect(first.squashfs).toBe(join(cache, first.digest, 'rootfs.squashfs'));
  });

  it.each([
    ['the agent', 'boot-assets/agent/muster-agent'],
    ['a file of the configuration', 'vm-lab/image/files/etc/motd'],
    ['the way of packing', 'vm-lab/image/layer.sh'],
  ])('keeps the base when %s changes', async (_what, name) => {
    await ensure();
    put(name, 'changed');
    await ensure();
    expect(built()).toEqual(['base', 'image', 'image']);
  });

  it('builds everything anew when the list of packages changes', async () => {
    await ensure();
    put('vm-lab/image/packages.txt', 'systemd curl');
    await ensure();
    expect(built()).toEqual(['base', 'image', 'base', 'image']);
  });

  it('does not build for a change of words that are not in the image', async () => {
    await ensure();
    put('boot-assets/agent/README.md', 'other words');
    await ensure();
    expect(built()).toEqual(['base', 'image']);
  });

  it('builds once when two runs ask at the same time', async () => {
    const [one, other] = await Promise.all([ensure(), ensure()]);
    expect(one).toEqual(other);
    expect(built()).toEqual(['base', 'image']);
  });

  it('keeps the two images that were used last, and what may still be at work', async () => {
    const images: string[] = [];
    for (const version of ['1', '2', '3']) {
      put('boot-assets/agent/muster-agent', version);
      images.push((await ensure()).directory);
      const past = new Date(Date.now() - 60_000 + Number(version) * 1000);
      utimesSync(images.at(-1) ?? '', past, past);
    }
    expect(images.map((image) => existsSync(image))).toEqual([false, true, true]);

    const old = new Date(Date.now() - 7_200_000);
    mkdirSync(join(cache, 'x.tmp.new'));
    mkdirSync(join(cache, 'x.tmp.old'));
    utimesSync(join(cache, 'x.tmp.old'), old, old);
    await ensure();
    expect(readdirSync(cache)).toContain('x.tmp.new');
    expect(readdirSync(cache)).not.toContain('x.tmp.old');
  });

  it('shows the end of the log when the recipe fails, and leaves no image behind', async () => {
    put('vm-lab/image/build-image.sh', 'echo "E: no such package" >>"$4"; exit 1');
    await expect(ensure()).rejects.toThrow('E: no such package');
    expect(readdirSync(cache).filter((name) => /^[0-9a-f]{64}$/.test(name))).toEqual([]);
  });

  it('says what is missing before it begins', async () => {
    const missing = () => ['debootstrap is missing: apt-get install debootstrap'];
    await expect(
      ensureLabImage(() => undefined, { projectDirectory: project, cacheDirectory: cache, missing }),
    ).rejects.toThrow('apt-get install debootstrap');
    expect(existsSync(cache)).toBe(false);
  });
});
