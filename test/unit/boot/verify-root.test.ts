import { spawnSync } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sealBoot, type BootSeal } from '../../../src/boot/boot-seal.ts';
import type { BootImage } from '../../../src/images/boot-image.ts';
import { aDigest } from '../../support/domain-builders.ts';
import { Scratch } from '../../support/openssl.ts';
import { digestOf, sha256 } from '../../support/signature-builders.ts';

const SCRIPT = resolve('boot-assets/initrd/verify-root.sh');
/** What the script may use beside sh and sha256sum: programs that dracut's base and live modules put into every initrd. */
const DRACUT_PROGRAMS = ['sh', 'sed', 'tr', 'mkdir', 'sleep'];
const ROOT = Buffer.alloc(300_000, 'squashfs');

let scratch: Scratch;
let seal: BootSeal;

beforeEach(async () => {
  scratch = await Scratch.open();
  seal = sealBoot(anImage(), 'required', sha256)!;
  await symlink(await scratch.write('rootfs.squashfs', ROOT), scratch.file('livedev'));
  await scratch.write('boot.json', seal.manifest);
  await scratch.write('cmdline', `root=live:http://x/rootfs.squashfs ${seal.words.join(' ')} quiet\n`);
});
afterEach(() => scratch[Symbol.asyncDispose]());

describe('verify-root.sh', () => {
  it('lets a root pass that has the digest of the manifest, and leaves that on record', async () => {
    const { status, screen, output, result } = await verify();
    expect({ status, screen, result }).toEqual({ status: 0, screen: '', result: `verified ${digestOf(ROOT)}\n` });
    expect(output).toMatch(/^muster: root file system verified in \d+ s\n$/);
  });

  it('stops the boot for one flipped bit, says on the screen what differs, and boots again', async () => {
    const flipped = Buffer.from(ROOT);
    flipped[123_456]! ^= 1;
    await scratch.write('rootfs.squashfs', flipped);
    const { status, screen, result } = await verify();
    expect({ status, result }).toEqual({ status: 42, result: undefined });
    expect(screen).toBe(
      [
        '<2>muster: *** BOOT STOPPED ***',
        '<2>muster: The root file system is not the one of this image: bytes were altered on the way.',
        `<2>muster: expected ${digestOf(ROOT)}`,
        `<2>muster: received ${digestOf(flipped)}`,
        '<2>muster: This machine boots again in 0 seconds.',
        '',
      ].join('\n'),
    );
  });

  it('stops for a root that was cut short, is empty or is not there', async () => {
    for (const content of [ROOT.subarray(0, -1), Buffer.alloc(0)]) {
      await scratch.write('rootfs.squashfs', content);
      expect((await verify()).status).toBe(42);
    }
    const { status, screen } = await verify({ MUSTER_LIVE: scratch.file('nothing') });
    expect([status, screen]).toEqual([42, expect.stringContaining('nothing to verify')]);
  });

  it('stops for a manifest that the command line does not name: another, an altered one, none', async () => {
    const other = sealBoot({ ...anImage(), name: 'other' }, 'required', sha256)!;
    for (const content of [other.manifest, Buffer.concat([seal.manifest, Buffer.from(' ')])]) {
      await scratch.write('boot.json', content);
      const { status, screen } = await verify();
      expect([status, screen]).toEqual([42, expect.stringContaining('is not the one that the boot script names')]);
    }
    expect((await verify({ MUSTER_BOOT_MANIFEST: scratch.file('nothing') })).screen).toContain('did not come');
  });

  it('goes by the first muster.boot word: a later one may come from a profile', async () => {
    await scratch.write('cmdline', `${seal.words.join(' ')} muster.boot=sha256:${'0'.repeat(64)}\n`);
    expect((await verify()).status).toBe(0);
  });

  it('does nothing where the boot is not sealed', async () => {
    await scratch.write('cmdline', 'root=live:http://x/rootfs.squashfs xmuster.boot=sha256:00 quiet\n');
    expect(await verify()).toMatchObject({ status: 0, screen: '', output: '', result: undefined });
  });

  it('says that it cannot verify without sha256sum and goes on, and stops where that is required', async () => {
    const without = { programs: DRACUT_PROGRAMS };
    expect(await verify({}, without)).toMatchObject({
      status: 42,
      screen: expect.stringContaining('cannot be verified'),
    });
    await scratch.write('cmdline', `${seal.words[0] ?? ''} quiet\n`);
    expect(await verify({}, without)).toMatchObject({
      status: 0,
      screen: expect.stringContaining('is NOT verified: this initrd has no sha256sum. Build the initrd with: dracut'),
      result: 'unverified: no sha256sum\n',
    });
  });

  it('takes a SHA-512 where the image has one', async () => {
    const hex = 'a'.repeat(128);
    const image = anImage();
    const sha512 = { ...image, squashfs: { ...image.squashfs, digest: `sha512:${hex}` as typeof image.digest } };
    const sealed = sealBoot(sha512, 'required', sha256)!;
    await scratch.write('boot.json', sealed.manifest);
    await scratch.write('cmdline', sealed.words.join(' '));
    const { status, screen } = await verify({}, { programs: [...DRACUT_PROGRAMS, 'sha256sum', 'sha512sum'] });
    expect([status, screen]).toEqual([42, expect.stringContaining(`expected sha512:${hex}`)]);
  });
});

/** Runs the script as the initrd would, with no programs but those; a reboot ends it with status 42. */
async function verify(environment: object = {}, { programs = [...DRACUT_PROGRAMS, 'sha256sum'] } = {}) {
  const bin = scratch.file(`bin-${programs.length}`);
  await mkdir(bin, { recursive: true });
  for (const program of programs) await symlink(`/usr/bin/${program}`, join(bin, program)).catch(() => undefined);
  // The script's `reboot` never returns in a machine; here it ends the shell that runs it.
  await writeFile(join(bin, 'end'), '#!/bin/sh\nkill -s USR1 "$PPID"\n', { mode: 0o755 });
  await scratch.write('kmsg', '');
  const run = spawnSync('/bin/sh', ['-c', `trap 'exit 42' USR1; . ${SCRIPT}`], {
    encoding: 'utf8',
    timeout: 10_000,
    env: {
      PATH: bin,
      MUSTER_CMDLINE: scratch.file('cmdline'),
      MUSTER_BOOT_MANIFEST: scratch.file('boot.json'),
      MUSTER_LIVE: scratch.file('livedev'),
      MUSTER_RESULT: scratch.file('run/root-verified'),
      MUSTER_KMSG: scratch.file('kmsg'),
      MUSTER_PAUSE_SECONDS: '0',
      MUSTER_REBOOT: 'end',
      ...environment,
    },
  });
  const result = await readFile(scratch.file('run/root-verified'), 'utf8').catch(() => undefined);
  return { status: run.status, output: run.stdout, screen: await scratch.read('kmsg'), result };
}

function anImage(): BootImage {
  const part = { digest: aDigest('1'), sizeBytes: 1 };
  const squashfs = { digest: digestOf(ROOT), sizeBytes: ROOT.length };
  const identity = { name: 'fleet/os', digest: aDigest('a'), family: 'dracut-livenet', architecture: 'amd64' } as const;
  return { ...identity, kernel: part, initrd: part, squashfs, commandLine: [], os: { id: 'debian' } };
}
