// Sources of `images import`, each opened and read back: what is pushed, without a server.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CommandTools } from '../../src/cli/command-tools.ts';
import type { ImageSource } from '../../src/cli/import/image-source.ts';
import { openSource } from '../../src/cli/import/open-source.ts';
import { PLAIN } from '../../src/cli/style.ts';
import { parseBootConfig, parseBootManifest } from '../../src/images/conversion/boot-manifest.ts';
import { SystemClock, SystemScheduler } from '../../src/platform/clock.ts';
import { aBootableImage } from '../support/conversion-world.ts';
import { anIso } from '../support/iso-builder.ts';
import { aFile } from '../support/layer-builders.ts';
import { aContent, aDescriptor, OCI_INDEX, writeOciLayout } from '../support/oci-layout.ts';
import { Scratch } from '../support/openssl.ts';

const run = promisify(execFile);
let scratch: Scratch;

beforeEach(async () => {
  scratch = await Scratch.open();
});
afterEach(() => scratch[Symbol.asyncDispose]());

async function open(source: string): Promise<ImageSource> {
  const quiet = { isTerminal: false, columns: 80, write: () => undefined };
  const tools: CommandTools = {
    ...{ clock: new SystemClock(), scheduler: new SystemScheduler(), environment: {}, workingDirectory: scratch.path },
    ...{ baseDirectory: '/', style: PLAIN, errorStyle: PLAIN, output: quiet, errors: quiet, isJson: () => true },
    interrupted: new AbortController().signal,
    settings: () => Promise.reject(new Error('no settings')),
    api: () => Promise.reject(new Error('no server')),
    show: () => undefined,
  };
  return openSource(source, { platform: { os: 'linux', architecture: 'amd64' }, commandLine: ['quiet'] }, tools);
}

/** Every blob from its start, from its middle and from its end gives what its digest says. */
async function verify(source: ImageSource): Promise<void> {
  for (const blob of source.blobs) {
    const whole = await buffer(await blob.open(0));
    expect(`sha256:${createHash('sha256').update(whole).digest('hex')}`).toBe(blob.digest);
    expect(whole.length).toBe(blob.sizeBytes);
    const middle = Math.floor(whole.length / 2);
    expect((await buffer(await blob.open(middle))).equals(whole.subarray(middle))).toBe(true);
    expect(await buffer(await blob.open(whole.length))).toHaveLength(0);
  }
}

describe('oci: and oci-archive:', () => {
  const one = aBootableImage();
  const two = aBootableImage(aFile('etc/more', 'x'));

  it.each(['oci:layout:v2', 'oci-archive:layout.tar:v2'])('%s gives the image byte for byte', async (source) => {
    await writeOciLayout(scratch.file('layout'), { v1: one, v2: two });
    await run('tar', ['-cf', scratch.file('layout.tar'), '-C', scratch.file('layout'), '.']);
    const opened = await open(source);
    expect(Buffer.from(opened.manifest.content).equals(two.manifest.bytes)).toBe(true);
    expect(opened.blobs.map(({ digest }) => digest)).toEqual([...two.layers, two.config].map(({ digest }) => digest));
    await verify(opened);
  });

  it('takes the image of the platform out of an index', async () => {
    await writeOciLayout(scratch.file('layout'), { v1: one });
    const manifests = [{ ...aDescriptor(one.manifest), platform: { os: 'linux', architecture: 'amd64' } }];
    const index = aContent(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }), OCI_INDEX);
    await writeFile(scratch.file(`layout/blobs/${index.digest.replace(':', '/')}`), index.bytes);
    const top = JSON.stringify({ schemaVersion: 2, manifests: [aDescriptor(index)] });
    await writeFile(scratch.file('layout/index.json'), top);
    expect((await open('oci:layout')).manifest.digest).toBe(one.manifest.digest);
  });

  it.each([
    ['oci:layout', 'it has 2 images; name one'],
    ['oci:layout:v3', 'it has no image v3 (tags: v1, v2)'],
    ['oci:nowhere', 'nowhere is not there'],
    ['oci:.', 'there is no index.json in it'],
    ['oci-archive:layout.tar.gz', 'it is compressed as a whole'],
    ['oci-archive:text', 'it is no tar archive'],
  ])('says of %s what is wrong', async (source, message) => {
    await writeOciLayout(scratch.file('layout'), { v1: one, v2: two });
    await writeFile(scratch.file('text'), 'no tar at all '.repeat(100));
    await run('tar', ['-czf', scratch.file('layout.tar.gz'), '-C', scratch.file('layout'), '.']);
    await expect(open(source)).rejects.toThrow(message);
  });
});

describe('docker-archive:', () => {
  it('makes an OCI image of what docker save wrote, also where layers are linked', async () => {
    await mkdir(scratch.file('save/a'), { recursive: true });
    await mkdir(scratch.file('save/b'));
    await writeFile(scratch.file('save/a/layer.tar'), 'first layer');
    await run('ln', ['-s', '../a/layer.tar', scratch.file('save/b/layer.tar')]);
    await writeFile(scratch.file('save/config.json'), '{"architecture":"amd64","os":"linux"}');
    const manifest = [{ Config: 'config.json', RepoTags: ['x/y:1'], Layers: ['a/layer.tar', 'b/layer.tar'] }];
    await writeFile(scratch.file('save/manifest.json'), JSON.stringify(manifest));
    await run('tar', ['-cf', scratch.file('save.tar'), '-C', scratch.file('save'), '.']);
    const opened = await open('docker-archive:save.tar');
    await verify(opened);
    expect(opened.blobs).toHaveLength(2);
    expect((await open('docker-archive:save.tar:x/y:1')).manifest.digest).toBe(opened.manifest.digest);
    await expect(open('docker-archive:save.tar:x/y:2')).rejects.toThrow('name one of its images');
  });
});

describe('dir:', () => {
  it('makes one layer, the same from the same folder', async () => {
    await mkdir(scratch.file('root/etc'), { recursive: true });
    await writeFile(scratch.file('root/etc/hostname'), 'muster\n');
    const opened = await open('dir:root');
    await verify(opened);
    await readFile(scratch.file('root/etc/hostname'));
    expect((await open('dir:root')).manifest).toEqual(opened.manifest);
    expect(opened.blobs.map(({ label }) => label)).toEqual(['layer', 'config']);
  });
});

describe('iso:', () => {
  it.each([
    ['kairos', { 'boot/kernel': 'K', 'boot/initrd': 'II', 'rootfs.squashfs': 'SSS' }],
    ['debian-live', { 'live/vmlinuz-6.1': 'K', 'live/initrd.img-6.1': 'II', 'live/filesystem.squashfs': 'SSS' }],
    [
      'dracut-livenet',
      { 'images/pxeboot/vmlinuz': 'K', 'images/pxeboot/initrd.img': 'II', 'LiveOS/squashfs.img': 'SSS' },
    ],
  ])('knows the layout of %s', async (family, files) => {
    for (const names of ['plain', 'rock-ridge', 'joliet'] as const) {
      await writeFile(scratch.file('x.iso'), anIso(files, names));
      const opened = await open('iso:x.iso');
      await verify(opened);
      const contents = await Promise.all(opened.blobs.map(async (blob) => String(await buffer(await blob.open(0)))));
      expect(contents.slice(0, 3)).toEqual(['K', 'II', 'SSS']);
      expect(parseBootConfig(Buffer.from(contents[3] ?? ''))).toMatchObject({ family, commandLine: ['quiet'] });
      expect(parseBootManifest(opened.manifest.content)?.squashfs.sizeBytes).toBe(3);
    }
  });

  it('serves the whole image to casper, which takes nothing else', async () => {
    const iso = anIso({ 'casper/vmlinuz': 'K', 'casper/initrd': 'II' }, 'rock-ridge');
    await writeFile(scratch.file('x.iso'), iso);
    const opened = await open('iso:x.iso');
    expect(parseBootManifest(opened.manifest.content)?.squashfs.sizeBytes).toBe(iso.length);
  });

  it('says so of what is no CD image, and of one without anything to boot', async () => {
    await writeFile(scratch.file('x.iso'), 'x'.repeat(100_000));
    await expect(open('iso:x.iso')).rejects.toThrow('it is no CD image');
    await writeFile(scratch.file('x.iso'), anIso({ 'readme.txt': 'hello' }, 'joliet'));
    await expect(open('iso:x.iso')).rejects.toThrow('no kernel, initrd and squashfs are where');
  });
});
