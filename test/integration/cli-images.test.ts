import { createHash, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CliWorld } from '../support/cli-world.ts';
import { anImage } from '../support/domain-builders.ts';

let world: CliWorld;

beforeEach(async () => {
  world = await CliWorld.open();
});

afterEach(() => world[Symbol.asyncDispose]());

describe('muster images import', () => {
  const WORDS = ['images', 'import', 'fleet/os', 'kernel=k', 'initrd=i', 'squashfs=s'];

  it('sends what the server does not have yet, then names the image', async () => {
    const digests = await someFiles();
    world.answer(`HEAD /blobs/${digests.initrd}`, {});
    world.answer(`PUT /blobs/${digests.kernel}`, {}, 201);
    world.answer(`PUT /blobs/${digests.squashfs}`, {}, 200);
    world.answer('PUT /images/fleet/os', { image: anImage({ name: 'fleet/os' }) });
    const { status, stdout, stderr } = await world.run([...WORDS, '--cmdline', 'quiet', 'console=ttyS0 panic=5']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '  ✓ image fleet/os is ready\n' });
    expect(stderr).toMatch(/send initrd +is there already/);
    expect(stderr).toMatch(/send squashfs +✓ 3\.00 MiB/);
    expect(world.lines()).toEqual([
      `HEAD /blobs/${digests.kernel}`,
      `PUT /blobs/${digests.kernel}`,
      `HEAD /blobs/${digests.initrd}`,
      `HEAD /blobs/${digests.squashfs}`,
      `PUT /blobs/${digests.squashfs}`,
      'PUT /images/fleet/os',
    ]);
    const sent = world.seen.find(({ line }) => line.startsWith(`PUT /api/v1/blobs/${digests.squashfs}`));
    expect(digestOf(sent?.body ?? '')).toBe(digests.squashfs);
    expect(JSON.parse(String(world.seen.at(-1)?.body))).toEqual({
      family: 'dracut-livenet',
      ...digests,
      commandLine: ['quiet', 'console=ttyS0', 'panic=5'],
    });
  });

  it('tells what the server has against an upload', async () => {
    const { kernel } = await someFiles();
    const error = { code: 'payload-too-large', message: 'A blob may have at most 5 bytes.' };
    world.answer(`PUT /blobs/${kernel}`, { error }, 413);
    const { status, stderr } = await world.run(WORDS);
    expect(status).toBe(1);
    expect(stderr).toContain('muster: A blob may have at most 5 bytes. [payload-too-large]');
  });

  it.each([
    ['a part that is missing', ['images', 'import', 'x', 'kernel=k'], 'initrd=FILE is missing'],
    ['a part that there is not', ['images', 'import', 'x', 'rootfs=k'], '"rootfs" is no part of an image'],
    ['a name that cannot be', ['images', 'import', 'A b', 'kernel=k'], '"A b" cannot be the name of an image'],
    ['a path that is no file', ['images', 'import', 'x', 'kernel=.', 'initrd=.', 'squashfs=.'], 'is not a file'],
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

describe('muster images list and remove', () => {
  it('list and remove', async () => {
    world.answer('GET /images', { images: [anImage()] });
    world.answer('DELETE /images/debian-12', (_request, response) => response.writeHead(204).end());
    expect((await world.run(['images', 'list'])).stdout).toMatch(/debian-12 +7\.63 MiB/);
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
