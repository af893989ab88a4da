import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blobPath, ensureContainerLayout, readContainerImage } from '../../../vm-lab/container-image.ts';
import type { LabImage } from '../../../vm-lab/image.ts';
import { aContainerImage, aLayer, writeOciLayout } from '../../support/oci-layout.ts';

// Recipes in the place of the real ones, which need root and umoci: they write down each time they build.
const CONTAINER_RECIPE = `#!/bin/sh
set -eu
exec 3>&1 >>"$3" 2>&1
test -d "$1"
echo layers >&3
if [ ! -d "$2" ]; then sleep 0.2; mkdir "$2"; echo container >>"$(dirname "$2")/built"; fi
`;
const BASE_RECIPE = `#!/bin/sh
set -eu
mkdir "$1"
echo base >>"$(dirname "$1")/built"
`;

let folder: string;
let image: LabImage;
let lines: string[];
const ensure = (): Promise<string> =>
  ensureContainerLayout(image, (line) => lines.push(line), { projectDirectory: join(folder, 'project') });
const put = (name: string, text: string): void => {
  mkdirSync(join(folder, 'project', name, '..'), { recursive: true });
  writeFileSync(join(folder, 'project', name), text);
};
const built = (): string[] => readFileSync(join(folder, 'cache/built'), 'utf8').trim().split('\n');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'muster-container-'));
  lines = [];
  const digest = 'a'.repeat(64);
  const directory = join(folder, 'cache', digest);
  const base = join(folder, 'cache', `base-${digest}`);
  image = { directory, base, digest, kernel: '', initrd: '', squashfs: '' };
  for (const made of [directory, base]) mkdirSync(made, { recursive: true });
  put('vm-lab/image/build-container.sh', CONTAINER_RECIPE);
  put('vm-lab/image/build-image.sh', BASE_RECIPE);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('ensureContainerLayout', () => {
  it('builds a layout once beside the lab image, says so, and finds it again without a word', async () => {
    const layout = await ensure();
    expect(layout).toMatch(/\/cache\/container-[0-9a-f]{64}$/);
    expect(lines.every((line) => /^container image, \d+ s: /.test(line))).toBe(true);
    lines = [];
    expect(await ensure()).toBe(layout);
    expect(lines).toEqual([]);
    expect(built()).toEqual(['container']);
  });

  it('builds another for another lab image, and for another recipe', async () => {
    const first = await ensure();
    image = { ...image, digest: 'b'.repeat(64) };
    const second = await ensure();
    put('vm-lab/image/build-container.sh', `${CONTAINER_RECIPE}\n# changed`);
    const third = await ensure();
    expect(new Set([first, second, third]).size).toBe(3);
  });

  it('builds the base again when it is gone', async () => {
    rmSync(image.base, { recursive: true });
    await ensure();
    expect(built()).toEqual(['base', 'container']);
  });

  it('builds once when two runs ask at the same time', async () => {
    const [one, other] = await Promise.all([ensure(), ensure()]);
    expect(one).toBe(other);
    expect(built()).toEqual(['container']);
  });

  it('keeps the two that were used last', async () => {
    const layouts: string[] = [];
    for (const letter of ['1', '2', '3']) {
      image = { ...image, digest: letter.repeat(64) };
      layouts.push(await ensure());
      const past = new Date(Date.now() - 60_000 + Number(letter) * 1_000);
      utimesSync(layouts.at(-1) ?? '', past, past);
    }
    expect(layouts.map((layout) => existsSync(layout))).toEqual([false, true, true]);
  });
});

describe('readContainerImage', () => {
  it('finds an image by its tag, with the parts that its manifest names (image-spec, image-layout.md)', async () => {
    const [base, own] = [await aLayer({ 'etc/base': 'base' }), await aLayer({ 'etc/own': 'own' })];
    const [one, two] = [aContainerImage([base]), aContainerImage([base, own])];
    const layout = join(folder, 'layout');
    await writeOciLayout(layout, { '1': one, '2': two });
    const found = await readContainerImage(layout, '2');
    expect(found.manifest.digest).toBe(two.manifest.digest);
    expect(found.config.digest).toBe(two.config.digest);
    expect(found.layers.map(({ digest }) => digest)).toEqual([base.digest, own.digest]);
    expect(readFileSync(blobPath(layout, found.manifest))).toEqual(two.manifest.bytes);
    rmSync(join(layout, 'index.json'));
    await writeOciLayout(layout, { '1': one });
    await expect(readContainerImage(layout, '2')).rejects.toThrow('no image with the tag 2');
  });
});
