import { createHash, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CliWorld } from '../support/cli-world.ts';
import { anImage } from '../support/domain-builders.ts';
import { viewOf } from '../support/fake-catalogue.ts';

let world: CliWorld;

beforeEach(async () => {
  world = await CliWorld.open();
});

afterEach(() => world[Symbol.asyncDispose]());

describe('muster images import', () => {
  const WORDS = ['images', 'import', 'fleet/os', 'kernel=k', 'initrd=i', 'squashfs=s'];
  const V2 = '/v2/fleet/os';

  /** As a registry takes blobs that it has not. */
  function takesUploads(): void {
    world.answer(`POST ${V2}/blobs/uploads/`, (_request, response) =>
      response.writeHead(202, { location: `${V2}/blobs/uploads/1` }).end(),
    );
    world.answer(`PUT ${V2}/blobs/uploads/1`, {}, 201);
  }

  it('sends what the registry does not have yet, then the boot manifest under its tag', async () => {
    const digests = await someFiles();
    takesUploads();
    world.answer(`HEAD ${V2}/blobs/${digests.initrd}`, (_request, response) => response.writeHead(200).end());
    world.answer(`PUT ${V2}/manifests/latest`, {}, 201);
    world.answer('GET /images/fleet/os%3Alatest', { image: viewOf(anImage({ name: 'fleet/os' })) });
    const { status, stdout, stderr } = await world.run([...WORDS, '--cmdline', 'quiet', 'console=ttyS0 panic=5']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '  ✓ image fleet/os:latest is ready\n' });
    expect(stderr).toMatch(/send initrd +is there already/);
    expect(stderr).toMatch(/send squashfs +✓ 3\.00 MiB/);
    const bodyOf = (start: string) =>
      world.seen.findLast(({ line }) => line.startsWith(start))?.body ?? Buffer.alloc(0);
    expect(digestOf(bodyOf(`PUT ${V2}/blobs/uploads/1?digest=${encodeURIComponent(digests.squashfs)}`))).toBe(
      digests.squashfs,
    );
    const manifest = JSON.parse(String(bodyOf(`PUT ${V2}/manifests/latest`))) as {
      artifactType: string;
      config: { digest: string };
      layers: { digest: string }[];
    };
    expect(manifest.artifactType).toBe('application/vnd.muster.boot.v1');
    expect(manifest.layers.map(({ digest }) => digest)).toEqual([digests.kernel, digests.initrd, digests.squashfs]);
    const config = bodyOf(`PUT ${V2}/blobs/uploads/1?digest=${encodeURIComponent(manifest.config.digest)}`);
    expect(JSON.parse(String(config))).toMatchObject({
      family: 'dracut-livenet',
      commandLine: ['quiet', 'console=ttyS0', 'panic=5'],
    });
  });

  it('tells what the registry has against an upload', async () => {
    await someFiles();
    takesUploads();
    const errors = [{ code: 'SIZE_INVALID', message: 'At most 5 bytes are taken.' }];
    world.answer(`PUT ${V2}/blobs/uploads/1`, { errors }, 413);
    const { status, stderr } = await world.run(WORDS);
    expect(status).toBe(1);
    expect(stderr).toContain('At most 5 bytes are taken.');
  });

  it('says why no machine can boot what was imported', async () => {
    await someFiles();
    takesUploads();
    world.answer(`PUT ${V2}/manifests/latest`, {}, 201);
    const refusal = { code: 'no-kernel', detail: 'The image has no kernel. Fix: install one in it.' };
    const { image: _, ...view } = viewOf(anImage({ name: 'fleet/os' }));
    world.answer('GET /images/fleet/os%3Alatest', { image: { ...view, state: 'refused', refusal } });
    const { status, stderr } = await world.run(WORDS);
    expect(status).toBe(1);
    expect(stderr).toContain('no machine can boot it: The image has no kernel. Fix: install one in it. [no-kernel]');
  });

  it.each([
    ['a part that is missing', ['images', 'import', 'x', 'kernel=k'], 'initrd=FILE is missing'],
    ['a part that there is not', ['images', 'import', 'x', 'rootfs=k'], '"rootfs" is no part of an image'],
    ['a name that cannot be', ['images', 'import', 'A b', 'kernel=k'], '"A b" cannot be the name of an image'],
    ['a path that is no file', ['images', 'import', 'x', 'kernel=.', 'initrd=.', 'squashfs=.'], 'is not a file'],
    ['a source without a name', ['images', 'import', 'dir:.'], 'The image needs a name'],
    ['a name that is no tag', ['images', 'import', 'dir:.', '--name', 'a@stable'], 'a@stable is no tag'],
    ['a source that there is not', ['images', 'import', 'ftp:x', '--name', 'a'], '"ftp:x" is no source of images'],
    [
      'a family that there is not',
      ['images', 'import', 'iso:x', '--name', 'a', '--family', 'beos'],
      'dracut-livenet, kairos',
    ],
    ['a platform that is none', ['images', 'import', 'oci:x', '--name', 'a', '--platform', 'amd64'], 'linux/amd64'],
  ])('refuses %s as wrong usage, before anything is sent', async (_, words, expected) => {
    const { status, stderr } = await world.run(words);
    expect({ status, seen: world.lines() }).toEqual({ status: 2, seen: [] });
    expect(stderr).toContain(expected);
  });

  async function someFiles() {
    const contents = { kernel: 'kernel', initrd: '', squashfs: randomBytes(3 * 1024 ** 2) };
    await world.scratch.write('k', contents.kernel);
    await world.scratch.write('i', contents.initrd);
    await world.scratch.write('s', contents.squashfs);
    return {
      kernel: digestOf(contents.kernel),
      initrd: digestOf(contents.initrd),
      squashfs: digestOf(contents.squashfs),
    };
  }
});

describe('muster images list, show and remove', () => {
  it('go by the names of the registry', async () => {
    world.answer('GET /images', { images: [viewOf(anImage())] });
    world.answer('GET /images/debian-12%40stable', { image: viewOf(anImage()) });
    world.answer('DELETE /images/debian-12%3Alatest', (_request, response) => response.writeHead(204).end());
    expect((await world.run(['images', 'list'])).stdout).toMatch(/debian-12:latest +dddddddddddd +ready/);
    expect((await world.run(['images', 'show', 'debian-12@stable'])).stdout).toMatch(/Kernel +7\.63 MiB/);
    expect((await world.run(['images', 'remove', 'debian-12'])).stdout).toContain('debian-12 is removed');
  });
});

describe('muster loaders import', () => {
  it('sends the installed loaders, or names the one that is missing', async () => {
    world.answer('GET /loaders', { loaders: [] });
    const { status, stderr } = await world.run(['loaders', 'import']);
    expect(status === 2 ? stderr : world.lines().join('\n')).toMatch(/is not a file|PUT \/blobs\/sha256:/);
  });
});

function digestOf(content: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
