// Images through the real mksquashfs, read back by unsquashfs.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BOOT_ARTIFACT_TYPE, BOOT_CONFIG_TYPE, BOOT_LAYER_TYPES } from '../../src/images/boot-image.ts';
import type { BootImage } from '../../src/images/boot-image.ts';
import { aBootableImage, layerOf, openConversionWorld, type ConversionWorld } from '../support/conversion-world.ts';
import { aCpio, PACKERS } from '../support/initrd-builders.ts';
import { aDirectory, aFile, aHardLink, aSymlink } from '../support/layer-builders.ts';
import { aContainerImage, aContent, aDescriptor, aManifest, OCI_INDEX, OCI_MANIFEST } from '../support/oci-layout.ts';

const run = promisify(execFile);
let world: ConversionWorld;

beforeEach(async () => {
  world = await openConversionWorld();
  world.conversions.start();
});
afterEach(() => world[Symbol.asyncDispose]());

async function converted(repository: string, reference: string): Promise<BootImage> {
  await world.conversions.idle();
  const resolution = await world.catalogue.resolve(`${repository}${reference}`);
  if (resolution.kind === 'none')
    throw new Error(`${resolution.reason} ${JSON.stringify(await world.conversions.list())}`);
  return resolution.image;
}

function squashfsOf({ squashfs }: BootImage): string {
  const hex = squashfs.digest.slice('sha256:'.length);
  return join(world.blobDirectory, 'sha256', hex.slice(0, 2), hex);
}

describe('a pushed container image', () => {
  it('becomes kernel, initrd and squashfs of a boot manifest that refers to it', async () => {
    const image = aBootableImage(
      aFile('etc/.wh.hostname'),
      aFile('usr/bin/tool', 'upper', { mode: 0o4755, uid: 7, mtime: 4000 }),
      aHardLink('usr/bin/other', 'usr/bin/tool'),
    );
    await world.push('fleet/os', '2026-01', image);
    const boot = await converted('fleet/os', ':2026-01');
    expect(boot).toMatchObject({
      name: 'fleet/os',
      digest: image.manifest.digest,
      family: 'dracut-livenet',
      architecture: 'amd64',
      kernel: { sizeBytes: 100_000 },
      os: { id: 'debian', versionId: '12', prettyName: 'Debian GNU/Linux 12 (bookworm)' },
    });
    const [referrer] = await world.store.listReferrers('fleet/os', image.manifest.digest, BOOT_ARTIFACT_TYPE);
    expect(referrer?.references).toEqual([
      referrer?.references[0],
      ...[boot.kernel, boot.initrd, boot.squashfs].map(({ digest }) => digest),
    ]);
    const { stdout } = await run('unsquashfs', ['-lln', squashfsOf(boot)]);
    expect(stdout).toMatch(/-rwsr-xr-x 7\/0 +5 1970-01-01 .*usr\/bin\/tool$/m);
    expect(stdout).not.toContain('etc/hostname');
    expect((await run('unsquashfs', ['-cat', squashfsOf(boot), 'usr/bin/other'])).stdout).toBe('upper');
    expect((await world.recorded()).map(({ kind }) => kind)).toEqual(['image-stored', 'image-ready']);
    expect(world.failures).toEqual([]);
  });

  it('gives the same digests from the same bytes, in any repository and at any time', async () => {
    await world.push('one', 'v1', aBootableImage());
    const first = await converted('one', ':v1');
    world.clock.time += 3_600_000;
    await world.push('two', 'v1', aBootableImage());
    expect(await converted('two', ':v1')).toEqual({ ...first, name: 'two' });
    const manifests = await Promise.all(['one', 'two'].map((name) => world.store.listReferrers(name, first.digest)));
    expect(manifests[0]?.[0]?.digest).toBe(manifests[1]?.[0]?.digest);
  });

  it.each([
    ['a file of 2106', { mtime: Date.UTC(2106, 0, 1) / 1000 }, '2106-01-01 00:00', '2106-01-01 00:00'],
    ['a time beyond 32 bits', { mtime: 0o77777777777 }, '2106-02-07 06:28', '2106-02-07 06:28'],
    ['a pax time beyond 32 bits', { pax: { mtime: '99999999999.5' } }, '2106-02-07 06:28', '2106-02-07 06:28'],
    ['a time before 1970', { pax: { mtime: '-86400' } }, '1970-01-01 00:00', '2023-11-14 22:13'],
  ])('is the same squashfs on two servers at two times, also with %s', async (_what, time, ofFile, ofRoot) => {
    const image = aBootableImage(aFile('etc/clock', 'x', time));
    await world.push('fleet/os', 'v1', image);
    const first = await converted('fleet/os', ':v1');
    const { stdout } = await run('unsquashfs', ['-lln', squashfsOf(first)], { env: { ...process.env, TZ: 'UTC' } });
    expect(stdout).toContain(`${ofFile} squashfs-root/etc/clock\n`);
    expect(stdout).toContain(`${ofRoot} squashfs-root\n`);
    await world[Symbol.asyncDispose]();
    await new Promise((done) => setTimeout(done, 1100));
    world = await openConversionWorld();
    world.conversions.start();
    await world.push('fleet/os', 'v1', image);
    expect(await converted('fleet/os', ':v1')).toEqual(first);
  });

  it('is taken from an index by platform, and images of other platforms are left alone', async () => {
    const amd64 = aBootableImage();
    const arm64 = aBootableImage(aFile('etc/arch', 'arm64'));
    for (const image of [amd64, arm64]) await world.push('fleet/os', image.manifest.digest, image);
    const entries = [
      { ...aDescriptor(arm64.manifest), platform: { os: 'linux', architecture: 'arm64' } },
      { ...aDescriptor(amd64.manifest), platform: { os: 'linux', architecture: 'amd64' } },
    ];
    const text = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries });
    await world.pushManifest('fleet/os', 'latest', aContent(text, OCI_INDEX));
    expect(await converted('fleet/os', '')).toMatchObject({ digest: amd64.manifest.digest });
    expect(await world.conversions.list()).toHaveLength(1);
    expect(await world.catalogue.list()).toMatchObject([
      { tags: ['latest'], state: 'ready', imageDigest: amd64.manifest.digest },
    ]);
  });

  it('without a tag is converted once somebody wants to boot it', async () => {
    const image = aBootableImage();
    await world.push('fleet/os', image.manifest.digest, image);
    expect(await world.conversions.list()).toEqual([]);
    const wait = await world.catalogue.resolve(`fleet/os@${image.manifest.digest}`);
    expect(wait).toMatchObject({ kind: 'none', reason: expect.stringContaining('waits for its conversion') });
    expect(await converted('fleet/os', `@${image.manifest.digest}`)).toMatchObject({ family: 'dracut-livenet' });
  });

  it('of Kairos is known as such', async () => {
    const names = ['usr/bin/immucore', 'usr/lib/dracut/x', 'usr/sbin/livenetroot', 'usr/sbin/dmsquash-live-root'];
    const kairos = layerOf(
      aFile('etc/kairos-release', 'KAIROS_VERSION="v4.2.0"\nKAIROS_FLAVOR="hadron"\n'),
      aFile('etc/os-release', 'ID=hadron\n'),
      aFile('boot/vmlinuz-6.12', 'kernel'),
      aSymlink('boot/vmlinuz', 'vmlinuz-6.12'),
      aFile('boot/initrd-6.12', PACKERS.zstd(aCpio(names))),
      aSymlink('boot/initrd', '/boot/initrd-6.12'),
    );
    await world.push('kairos', 'v4.2.0', aContainerImage([kairos]));
    expect(await converted('kairos', ':v4.2.0')).toMatchObject({
      family: 'kairos',
      kairos: { version: 'v4.2.0', flavor: 'hadron' },
    });
  });
});

describe('kernel, initrd and squashfs pushed as a boot manifest', () => {
  const config = (rest: object = {}) =>
    aContent(JSON.stringify({ family: 'debian-live', commandLine: ['quiet'], ...rest }), BOOT_CONFIG_TYPE);
  const push = async (configuration = config()) => {
    const layers = [
      aContent('kernel', BOOT_LAYER_TYPES.kernel),
      aContent('initrd', BOOT_LAYER_TYPES.initrd),
      aContent('squashfs', BOOT_LAYER_TYPES.squashfs),
    ];
    for (const content of [configuration, ...layers]) await world.pushBlob('debian-12', content);
    await world.pushManifest(
      'debian-12',
      'latest',
      aManifest(configuration, layers, { artifactType: BOOT_ARTIFACT_TYPE }),
    );
  };

  it('are ready as they are', async () => {
    await push();
    expect(await converted('debian-12', '')).toMatchObject({
      family: 'debian-live',
      commandLine: ['quiet'],
      kernel: { digest: aContent('kernel').digest, sizeBytes: 6 },
      os: { id: 'linux' },
    });
  });

  it.each([['two words'], ['new\nline'], ['${net0/mac}'], ['']])(
    'are refused with a word like %j, which could hide another on the kernel command line',
    async (word) => {
      await push(config({ commandLine: [word] }));
      await world.conversions.idle();
      expect(await world.conversions.list()).toMatchObject([{ state: 'refused', refusal: { code: 'layer-refused' } }]);
    },
  );
});

describe('an image that cannot be booted', () => {
  const kernel = aFile('boot/vmlinuz-6.1', 'kernel');
  const cases = [
    ['no-kernel', [aFile('etc/hostname', 'x')], /no kernel .*apt-get install/],
    ['no-initrd', [kernel], /\/boot\/vmlinuz-6.1 but no initrd .*dracut/],
    ['initrd-cannot-netboot', [kernel, aFile('boot/initrd', PACKERS.gzip(aCpio(['scripts/functions'])))], /live-boot/],
    ['initrd-unreadable', [kernel, aFile('boot/initrd', 'rubbish')], /look into \/boot\/initrd/],
    ['unified-kernel-image', [aFile('boot/EFI/Linux/x.efi', 'MZ')], /unified kernel image/],
    ['layer-refused', [kernel, aFile('../escape', 'x')], /path-escape/],
    ['layer-refused', [aDirectory('a'), aSymlink('a/b', 'b'), aFile('a/b/c', 'x')], /symlink-loop/],
  ] as const;

  it.each(cases)('is refused as %s, and the disk is as it was', async (code, entries, detail) => {
    const image = aContainerImage([layerOf(...entries)]);
    world.conversions.start();
    const pushed = [image.config, ...image.layers, image.manifest].map(({ digest }) => digest.slice(7)).sort();
    await world.push('fleet/os', 'latest', image);
    await world.conversions.idle();
    const [conversion] = await world.conversions.list();
    expect(conversion).toMatchObject({ state: 'refused', refusal: { code, detail: expect.stringMatching(detail) } });
    expect((await world.files()).map((file) => file.slice(file.lastIndexOf('/') + 1)).sort()).toEqual(pushed);
    expect(await world.catalogue.resolve('fleet/os')).toMatchObject({
      kind: 'none',
      reason: `image fleet/os was refused: ${code}`,
      hint: 'muster images show fleet/os',
    });
    expect((await world.recorded()).at(-1)).toMatchObject({ kind: 'image-refused', details: { code } });
  });

  it('is refused where a layer does not unpack', async () => {
    const layer = layerOf(kernel);
    const broken = { ...aContent(layer.bytes.subarray(0, 40), layer.mediaType), diffId: layer.diffId };
    await world.push('fleet/os', 'latest', aContainerImage([broken]));
    await world.conversions.idle();
    expect(await world.conversions.list()).toMatchObject([
      { refusal: { code: 'layer-refused', detail: expect.stringContaining('corrupt-layer') } },
    ]);
  });

  it('gets another chance when it is pushed again', async () => {
    const image = aContainerImage([layerOf(aFile('etc/hostname', 'x'))]);
    for (let round = 0; round < 2; round += 1) {
      await world.push('fleet/os', 'latest', image);
      await world.conversions.idle();
    }
    const refusals = (await world.recorded()).filter(({ kind }) => kind === 'image-refused');
    expect(refusals).toHaveLength(2);
  });

  it('may be something else than an OS image: a signature is left alone', async () => {
    const layer = aContent('{}', 'application/vnd.dev.cosign.simplesigning.v1+json');
    const config = aContent('{}', 'application/vnd.oci.image.config.v1+json');
    for (const content of [layer, config]) await world.pushBlob('fleet/os', content);
    await world.pushManifest('fleet/os', 'sha256-abc.sig', { ...aManifest(config, [layer]), mediaType: OCI_MANIFEST });
    await world.conversions.idle();
    expect([await world.conversions.list(), await world.catalogue.list()]).toEqual([[], []]);
    expect(await world.catalogue.isEmpty()).toBe(true);
  });
});
