#!/usr/bin/env node
// Makes a checkout ready: `node setup.mjs serve|test|lab [--dry-run]`, called by npm before start, test and lab. Installs the
// npm packages (Node 24 is one of them) and the missing Debian packages. Runs on Node 20 with no package installed, does
// nothing twice, and says nothing when there is nothing to do. Exit code 2: a person has to act, and the text says how.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('.', import.meta.url));
const MODULES = join(ROOT, 'node_modules');
const LOCK_FILE = join(ROOT, 'package-lock.json');
const STAMP_FILE = join(MODULES, '.muster-setup');

// Each purpose needs what the one before it needs as well: the tests drive the lab.
const SERVE = ['bzip2', 'ca-certificates', 'iproute2', 'ipxe', 'lz4', 'openssl', 'squashfs-tools', 'xz-utils'];
const LAB = [
  ...SERVE,
  ...['cpio', 'curl', 'debootstrap', 'dnsmasq-base', 'gzip', 'ipxe-qemu', 'ovmf', 'qemu-system-x86'],
  ...['skopeo', 'umoci', 'util-linux', 'zstd'],
];
const TEST = [
  ...LAB,
  ...['buildah', 'docker-registry', 'nginx-light', 'podman'],
  ...['atftp', 'atftpd', 'chromium', 'fonts-dejavu-core', 'gcc', 'git', 'libc6-dev', 'shellcheck', 'tftp-hpa'],
];
// These start services when they are installed. The tests run the programs themselves, on ports of their own.
const SERVICES = {
  atftpd: ['atftpd.service', 'atftpd.socket'],
  'docker-registry': ['docker-registry.service'],
  'nginx-light': ['nginx.service'],
  podman: ['podman.service', 'podman.socket', 'podman-restart.service', 'podman-auto-update.timer'],
};
const POLICY_FILE = '/usr/sbin/policy-rc.d';
const PACKAGES = { serve: SERVE, lab: LAB, test: TEST };

class Stop extends Error {}

async function main() {
  const [purpose, ...flags] = process.argv.slice(2);
  if (!Object.hasOwn(PACKAGES, purpose ?? '')) throw new Stop('usage: node setup.mjs serve|test|lab [--dry-run]');
  const isDryRun = flags.includes('--dry-run');
  if (Number(process.versions.node.split('.')[0]) < 20) {
    throw new Stop(
      `Node ${process.versions.node} is too old: install Node 20 or later (Debian: apt-get install nodejs npm).`,
    );
  }
  await installModules(isDryRun);
  await installPackages(PACKAGES[purpose], isDryRun);
}

async function installModules(isDryRun) {
  const wanted = hashOf(readFileSync(LOCK_FILE));
  if (existsSync(STAMP_FILE) && readFileSync(STAMP_FILE, 'utf8').trim() === wanted && hasNode()) return;
  if (isDryRun) return say(installedByHand() ? 'would take over node_modules as it is' : 'would run: npm ci');
  if (!installedByHand()) {
    // npm ci removes node_modules, where the node of every npm script lives: it has to run on the machine's own.
    await step('npm packages, Node 24 among them', 'npm', ['ci', '--no-audit', '--no-fund'], {
      PATH: pathWithoutModules(),
    });
    if (!hasNode()) {
      throw new Stop(
        'npm did not install the package `node`: its install script was not allowed to run.\n' +
          'Fix: npm config delete ignore-scripts, or: npm rebuild node --ignore-scripts=false',
      );
    }
  }
  writeFileSync(STAMP_FILE, `${wanted}\n`);
}

/** Whether a person has run npm ci or npm install: npm's own record agrees with the lock file. */
function installedByHand() {
  const record = join(MODULES, '.package-lock.json');
  if (!existsSync(record) || !hasNode()) return false;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  const locked = JSON.parse(readFileSync(LOCK_FILE, 'utf8')).packages;
  const isSame = (path) => locked[path]?.integrity === installed[path]?.integrity;
  const isNeeded = (path) => path !== '' && locked[path].optional !== true;
  return Object.keys(installed).every(isSame) && Object.keys(locked).filter(isNeeded).every(isSame);
}

function hasNode() {
  return existsSync(join(MODULES, '.bin', 'node'));
}

async function installPackages(names, isDryRun) {
  const missing = missingPackages(names);
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (isDryRun) return say(`would run: ${command}`);
  const isRoot = process.getuid?.() === 0;
  const services = names.flatMap((name) => (missing.includes(name) ? (SERVICES[name] ?? []) : []));
  if (!isRoot || !isThere('apt-get')) {
    const sudo = isRoot ? '' : 'sudo ';
    const after = services.length === 0 ? '' : ` && ${sudo}systemctl disable --now ${services.join(' ')}`;
    throw new Stop(`Debian packages are missing: ${missing.join(' ')}\nFix: ${sudo}${command}${after}`);
  }
  const environment = { DEBIAN_FRONTEND: 'noninteractive' };
  await step('apt-get update', 'apt-get', ['update', '-q'], environment);
  const install = ['install', '-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120', ...missing];
  const installAll = () => step(`Debian packages ${missing.join(' ')}`, 'apt-get', install, environment);
  if (services.length === 0) await installAll();
  else await withoutServices(services, installAll);
}

/** Nothing is started now (policy-rc.d, Debian Policy 9.3.3.1: 101 forbids it) nor at the next boot. */
async function withoutServices(services, install) {
  const kept = `${POLICY_FILE}.before-muster-setup`;
  // Where an earlier run was killed, the file that is there is its own.
  if (existsSync(POLICY_FILE) && !existsSync(kept)) renameSync(POLICY_FILE, kept);
  // Ctrl+C reaches apt-get too: it ends, and then so do we, by the ordinary way.
  const ignore = () => undefined;
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, ignore);
  try {
    // It forbids nothing once this program is gone, however that ended.
    writeFileSync(POLICY_FILE, `#!/bin/sh\n[ -d /proc/${process.pid} ] && exit 101\nexit 0\n`, { mode: 0o755 });
    await install();
  } finally {
    if (existsSync(kept)) renameSync(kept, POLICY_FILE);
    else rmSync(POLICY_FILE, { force: true });
    for (const service of services) spawnSync('systemctl', ['disable', '--quiet', service], { stdio: 'ignore' });
    for (const signal of signals) process.off(signal, ignore);
  }
}

function missingPackages(names) {
  const query = spawnSync('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n', ...names], {
    encoding: 'utf8',
  });
  if (query.error) {
    throw new Stop(`This is not a Debian system. Muster is made for Debian 12, with the packages: ${names.join(' ')}`);
  }
  const installed = new Set(query.stdout.split('\n').filter((line) => line.endsWith(' installed')));
  return names.filter((name) => !installed.has(`${name} installed`));
}

/** Runs a command silently and prints its name and seconds; what it wrote is shown when it fails. */
async function step(title, command, words, environment) {
  const began = Date.now();
  if (process.stdout.isTTY) process.stdout.write(`setup: ${title} …`);
  const { status, text } = await run(command, words, environment);
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  if (process.stdout.isTTY) process.stdout.write('\r\u001b[K');
  if (status === 0) return say(`${title}  ${seconds} s`);
  throw new Stop(
    `${title} failed after ${seconds} s:\n${shortened(text)}\nFix what it names, then again: ${command} ${words.join(' ')}`,
  );
}

/** npm says at the beginning what is wrong, apt at the end. */
function shortened(text) {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('npm warn'));
  return lines.length <= 30 ? lines.join('\n') : [...lines.slice(0, 15), '…', ...lines.slice(-15)].join('\n');
}

function run(command, words, environment) {
  return new Promise((resolve) => {
    const child = spawn(command, words, {
      cwd: ROOT,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    const keep = (chunk) => {
      text = (text + String(chunk)).slice(-20_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => resolve({ status: -1, text: error.message }));
    child.on('close', (status) => resolve({ status, text }));
  });
}

function pathWithoutModules() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.filter((folder) => !/node_modules\/\.bin\/?$/.test(folder)).join(delimiter);
}

function isThere(command) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, command)));
}

function hashOf(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

function say(text) {
  console.log(`setup: ${text}`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof Stop)) throw error;
  console.error(`setup: ${error.message}`);
  process.exitCode = 2;
}
