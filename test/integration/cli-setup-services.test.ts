// setup.mjs beside the services of the packages that the tests need, with a /usr/sbin of its own (a mount namespace: root).
import { spawnSync } from 'node:child_process';
import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Scratch } from '../support/openssl.ts';

const SETUP = resolve(import.meta.dirname, '../../setup.mjs');
const LOCK = JSON.stringify({ packages: { '': {} } });
const POLICY = '/usr/sbin/policy-rc.d';
const UNSHARE = '/usr/bin/unshare';

const canMount = spawnSync(UNSHARE, ['-m', 'true']).status === 0;
let scratch: Scratch;

beforeEach(async () => {
  scratch = await Scratch.open();
  await copyFile(SETUP, scratch.file('setup.mjs'));
  await scratch.write('package-lock.json', LOCK);
  await mkdir(scratch.file('bin'));
  const missing = 'docker-registry|nginx-light';
  await program(
    'dpkg-query',
    `shift 3; for name; do case "$name" in ${missing}) ;; *) echo "$name installed";; esac; done`,
  );
  await program('npm', 'mkdir -p node_modules/.bin; touch node_modules/.bin/node');
  await program('systemctl', 'echo "systemctl $*" >> calls');
  await aptThatEnds(0);
});
afterEach(() => scratch[Symbol.asyncDispose]());

describe.skipIf(!canMount)(`setup.mjs test${canMount ? '' : ' [skipped: no mount namespaces]'}`, () => {
  const DISABLED = ['docker-registry.service', 'nginx.service'].map((unit) => `systemctl disable --quiet ${unit}`);

  it('lets no service start while it installs, nor at the next boot (Debian Policy 9.3.3.1)', async () => {
    expect(setup('')).toMatchObject({ status: 0, left: 'policy-rc.d: none' });
    expect((await scratch.read('calls')).trim().split('\n')).toEqual(['policy 101', ...DISABLED]);
  });

  it.each([0, 1])("leaves the machine's own policy as it was, apt-get's status being %i", async (status) => {
    await aptThatEnds(status);
    const outcome = setup(`printf 'mine' > ${POLICY}`);
    expect(outcome).toMatchObject({ status: status === 0 ? 0 : 2, left: 'policy-rc.d: mine' });
    expect(await scratch.read('calls')).toContain('policy 101\n');
  });

  it('finds the own policy again where an earlier run was killed', () => {
    const before = `printf 'left over' > ${POLICY}; printf 'mine' > ${POLICY}.before-muster-setup`;
    expect(setup(before)).toMatchObject({ status: 0, left: 'policy-rc.d: mine' });
  });

  it('forbids nothing any more once it is gone', async () => {
    await program('apt-get', `case "$1" in install) cp ${POLICY} kept;; esac`);
    setup('');
    expect(spawnSync('/bin/sh', [scratch.file('kept')]).status).toBe(0);
  });
});

function aptThatEnds(status: number): Promise<void> {
  return program(
    'apt-get',
    `case "$1" in install) ${POLICY} nginx start; echo "policy $?" >> calls; exit ${status};; esac`,
  );
}

async function program(name: string, text: string): Promise<void> {
  await scratch.write(`bin/${name}`, `#!/bin/sh\nPATH=/usr/bin:/bin\n${text}\n`);
  await chmod(scratch.file(`bin/${name}`), 0o755);
}

/** `before` is done in the namespace, where /usr/sbin is empty. */
function setup(before: string) {
  const script = [
    'PATH=/usr/bin:/bin mount -t tmpfs none /usr/sbin',
    before,
    `"${process.execPath}" setup.mjs test`,
    'status=$?',
    `echo "policy-rc.d: $(PATH=/usr/bin:/bin cat ${POLICY} 2>&- || echo none)"`,
    'exit $status',
  ].join('\n');
  const { status, stdout, stderr } = spawnSync(UNSHARE, ['-m', '/bin/sh', '-c', script], {
    cwd: scratch.path,
    env: { PATH: scratch.file('bin') },
    encoding: 'utf8',
  });
  return { status, stderr, left: stdout.trim().split('\n').at(-1) };
}
