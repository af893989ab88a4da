import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Scratch } from '../support/openssl.ts';

const SETUP = resolve(import.meta.dirname, '../../setup.mjs');
const LOCK = JSON.stringify({ packages: { '': {}, 'node_modules/node': { integrity: 'sha512-a' } } });

let scratch: Scratch;

beforeEach(async () => {
  scratch = await Scratch.open();
  await copyFile(SETUP, scratch.file('setup.mjs'));
  await scratch.write('package-lock.json', LOCK);
  await mkdir(scratch.file('bin'));
  await program('dpkg-query', 'shift 3; for name; do case "$name" in ipxe) ;; *) echo "$name installed";; esac; done');
  await program('apt-get', 'echo "apt-get $*" >> calls');
  await program('npm', 'echo "npm $*" >> calls; mkdir -p node_modules/.bin; touch node_modules/.bin/node');
});

afterEach(() => scratch[Symbol.asyncDispose]());

describe('setup.mjs', () => {
  it.runIf(process.getuid?.() === 0)('installs what is missing, one line a step, and nothing but that', async () => {
    const { status, stdout } = setup('serve');
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^setup: npm packages, .* \d+\.\d s\nsetup: apt-get update .*\nsetup: Debian packages ipxe .*\n$/,
    );
    expect(await scratch.read('calls')).toBe(
      [
        'npm ci --no-audit --no-fund',
        'apt-get update -q',
        'apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 ipxe',
        '',
      ].join('\n'),
    );
  });

  it('is silent and quick when all is there', async () => {
    await program('dpkg-query', 'shift 3; for name; do echo "$name installed"; done');
    setup('serve');
    const began = Date.now();
    expect(setup('serve')).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(Date.now() - began).toBeLessThan(2000);
    expect(await scratch.read('calls')).toBe('npm ci --no-audit --no-fund\n');
  });

  it('installs the npm packages again when the lock file has changed', async () => {
    setup('serve');
    await scratch.write('package-lock.json', `${LOCK}\n`);
    setup('serve');
    expect((await scratch.read('calls')).match(/npm ci/g)).toHaveLength(2);
  });

  it('takes over what a person installed with npm', async () => {
    await mkdir(scratch.file('node_modules/.bin'), { recursive: true });
    await scratch.write('node_modules/.bin/node', '');
    await scratch.write('node_modules/.package-lock.json', LOCK);
    setup('serve');
    expect(await scratch.read('calls')).not.toContain('npm ci');
    const stamp = createHash('sha256').update(LOCK).digest('hex');
    expect(await scratch.read('node_modules/.muster-setup')).toBe(`${stamp}\n`);
  });

  it('changes nothing in a dry run', async () => {
    const { status, stdout } = setup('serve', '--dry-run');
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: 'setup: would run: npm ci\nsetup: would run: apt-get install -y --no-install-recommends ipxe\n',
    });
    await expect(scratch.read('calls')).rejects.toThrow();
  });

  it('shows why a step failed, and ends with exit code 2', async () => {
    await program('npm', 'echo "npm error code EUSAGE" >&2; exit 1');
    const { status, stderr } = setup('serve');
    expect(status).toBe(2);
    expect(stderr).toMatch(/npm packages.*failed after .*\nnpm error code EUSAGE\nFix .*npm ci/);
  });

  it('says which packages to install where it cannot: no apt, or not Debian at all', async () => {
    await program('apt-get', undefined);
    expect(setup('serve')).toMatchObject({ status: 2, stderr: expect.stringContaining('apt-get install -y') });
    await program('dpkg-query', undefined);
    expect(setup('serve')).toMatchObject({ status: 2, stderr: expect.stringContaining('not a Debian system') });
  });

  it('wants a purpose', () => {
    expect(setup('nonsense')).toMatchObject({ status: 2, stderr: expect.stringContaining('usage') });
  });
});

/** A shell script of that name, first and only in the PATH; none without a text. */
async function program(name: string, text: string | undefined): Promise<void> {
  const file = scratch.file(`bin/${name}`);
  await scratch.write(`bin/${name}`, `#!/bin/sh\nPATH=/usr/bin:/bin\n${text ?? ''}\n`);
  await chmod(file, text === undefined ? 0o600 : 0o755);
  if (text === undefined) spawnSync('/bin/rm', [file]);
}

function setup(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [scratch.file('setup.mjs'), ...words], {
    cwd: scratch.path,
    env: { PATH: scratch.file('bin') },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}
