// The registry with the container tools that people have: skopeo, umoci, podman, buildah and curl of Debian, over TLS with the
// server's own CA. A tool that is missing skips its tests, which then say so in their name.
import { execFile, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openKeyRing, type KeyRing } from '../../src/crypto/key-ring.ts';
import { issueServerCertificates } from '../../src/crypto/server-certificates.ts';
import { X509CertificateAuthority } from '../../src/crypto/x509-certificate-authority.ts';
import type { Digest } from '../../src/images/digest.ts';
import { RegistryService } from '../../src/images/registry/registry-service.ts';
import { digestBytes } from '../../src/storage/digest-bytes.ts';
import { openFileBlobStore } from '../../src/storage/files/file-blob-store.ts';
import { openFileUploadStore } from '../../src/storage/files/file-upload-store.ts';
import { MemoryRegistryStore } from '../../src/storage/memory/memory-registry-store.ts';
import { aMachine, aMachineId } from '../support/domain-builders.ts';
import {
  aContainerImage,
  aContent,
  aDescriptor,
  aLayer,
  digestOf,
  OCI_INDEX,
  writeOciLayout,
  type ContainerImage,
} from '../support/oci-layout.ts';
import { opensslCsr, Scratch } from '../support/openssl.ts';
import { ADMIN_TOKEN, anHttpWorld } from '../unit/http/http-world.ts';

const COMMAND_MS = 100_000;
const BIG_LAYER_BYTES = 3_000_000;

let scratch: Scratch;
let ring: KeyRing;
let host: string;
let registry: CountingRegistry;
let world: ReturnType<typeof anHttpWorld>;
/** Two tags: `v2` is `v1` with one layer more. */
let images: Readonly<Record<'v1' | 'v2', ContainerImage>>;

const has = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
const needing = (...commands: string[]): [boolean, string] => {
  const missing = commands.filter((command) => !has(command));
  return [missing.length > 0, missing.length === 0 ? '' : ` [skipped: no ${missing.join(', ')}]`];
};

/** Remembers what was uploaded: a mounted blob, or one that the client found there, is none. */
class CountingRegistry extends RegistryService {
  readonly uploaded: Digest[] = [];
  uploadedBytes = 0;

  override async finishUpload(end: Parameters<RegistryService['finishUpload']>[0]) {
    const outcome = await super.finishUpload(end);
    if (outcome.kind === 'stored') {
      this.uploaded.push(outcome.digest);
      this.uploadedBytes += outcome.sizeBytes;
    }
    return outcome;
  }

  forgetUploads(): void {
    this.uploaded.length = 0;
    this.uploadedBytes = 0;
  }
}

/** Both outputs; rejects with them where the command fails. */
async function run(
  command: string,
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<string> {
  const env = { ...process.env, HOME: scratch.path, TMPDIR: scratch.path, ...environment };
  const { stdout, stderr } = await promisify(execFile)(command, args, { timeout: COMMAND_MS, env, cwd: scratch.path });
  return stdout + stderr;
}

const certificates = (): string => scratch.file('certs');
const login = (): readonly string[] => ['--creds', `anybody:${ADMIN_TOKEN}`, '--cert-dir', certificates()];
const skopeoCopy = (from: string, to: string, ...options: readonly string[]): Promise<string> => {
  const side = from.startsWith('docker://') ? 'src' : 'dest';
  const access = [`--${side}-creds`, `anybody:${ADMIN_TOKEN}`, `--${side}-cert-dir`, certificates()];
  return run('skopeo', ['copy', ...access, ...options, from, to]);
};
const remote = (name: string): string => `docker://${host}/${name}`;

beforeAll(async () => {
  scratch = await Scratch.open();
  ring = await openKeyRing(scratch.file('data'), { now: () => Date.now() });
  const clock = { now: () => Date.now() };
  const directory = scratch.file('blobs');
  const blobs = await openFileBlobStore(directory);
  registry = new CountingRegistry({
    ...{ blobs, clock, digestBytes, store: new MemoryRegistryStore() },
    uploads: await openFileUploadStore({ directory, clock }),
    pinned: () => Promise.resolve(new Set()),
    limits: { blobBytes: 1_000_000_000 },
  });
  world = anHttpWorld({ tls: await issueServerCertificates(ring, [], Date.now()), registry, blobs });
  await world.api.listen({ port: 0, host: '127.0.0.1' });
  host = `127.0.0.1:${(world.api.server.address() as AddressInfo).port}`;
  await mkdir(certificates());
  await scratch.write('certs/ca.crt', ring.machineCa.certificatePem);
  await scratch.write('ca.pem', ring.machineCa.certificatePem);
  const base = await aLayer({ 'etc/os-release': 'ID=debian\n', 'usr/lib/big': randomBytes(BIG_LAYER_BYTES) });
  const more = await aLayer({ 'etc/version': '2\n' });
  images = { v1: aContainerImage([base]), v2: aContainerImage([base, more]) };
  await writeOciLayout(scratch.file('layout'), images);
});
afterAll(async () => {
  await world.api.close();
  await scratch[Symbol.asyncDispose]();
});

const manifestOf = async (layout: string, tag: string): Promise<Buffer> => {
  const text = await readFile(join(scratch.file(layout), 'index.json'), 'utf8');
  const { manifests } = JSON.parse(text) as { manifests: { digest: string; annotations: Record<string, string> }[] };
  const found = manifests.find(({ annotations }) => annotations['org.opencontainers.image.ref.name'] === tag);
  return readFile(join(scratch.file(layout), 'blobs', found!.digest.replace(':', '/')));
};

const [noSkopeo, skopeoReason] = needing('skopeo');

describe.skipIf(noSkopeo)(`skopeo${skopeoReason}`, () => {
  it('pushes an OCI layout and pulls it back byte for byte', async () => {
    await skopeoCopy('oci:layout:v1', remote('fleet/os:v1'));
    await skopeoCopy(remote('fleet/os:v1'), 'oci:back:v1');
    expect((await manifestOf('back', 'v1')).equals(images.v1.manifest.bytes)).toBe(true);
    const blobs = (await readdir(scratch.file('back/blobs/sha256'))).toSorted();
    const expected = [images.v1.config, ...images.v1.layers, images.v1.manifest].map(({ digest }) => digest.slice(7));
    expect(blobs).toEqual(expected.toSorted());
    for (const name of blobs)
      expect(digestOf(await readFile(scratch.file(`back/blobs/sha256/${name}`)))).toContain(name);
  });

  it('transfers of a second tag only what is new', async () => {
    await skopeoCopy('oci:layout:v1', remote('fleet/shared:v1'));
    registry.forgetUploads();
    await skopeoCopy('oci:layout:v2', remote('fleet/shared:v2'));
    expect(registry.uploaded).not.toContain(images.v1.layers[0]?.digest);
    expect(registry.uploaded.toSorted()).toEqual([images.v2.config.digest, images.v2.layers[1]!.digest].toSorted());
    expect(registry.uploadedBytes).toBeLessThan(10_000);
  });

  it('transfers nothing but names to another repository that has it all by mount', async () => {
    await skopeoCopy('oci:layout:v1', remote('fleet/first:v1'));
    registry.forgetUploads();
    const access = [`--src-creds=x:${ADMIN_TOKEN}`, `--dest-creds=x:${ADMIN_TOKEN}`];
    const trust = [`--src-cert-dir=${certificates()}`, `--dest-cert-dir=${certificates()}`];
    await run('skopeo', ['copy', ...access, ...trust, remote('fleet/first:v1'), remote('fleet/second:v1')]);
    // The config is no layer to skopeo: it has it in memory and sends it.
    expect(registry.uploaded).not.toContain(images.v1.layers[0]?.digest);
  });

  it('inspects, lists tags and deletes', async () => {
    for (const tag of ['v1', 'v2'] as const) await skopeoCopy(`oci:layout:${tag}`, remote(`fleet/tags:${tag}`));
    const shown = JSON.parse(await run('skopeo', ['inspect', ...login(), remote('fleet/tags:v1')])) as object;
    expect(shown).toMatchObject({ Digest: images.v1.manifest.digest, RepoTags: ['v1', 'v2'], Architecture: 'amd64' });
    expect(await run('skopeo', ['inspect', '--raw', ...login(), remote('fleet/tags:v2')])).toBe(
      images.v2.manifest.bytes.toString(),
    );
    const listed = JSON.parse(await run('skopeo', ['list-tags', ...login(), remote('fleet/tags')])) as object;
    expect(listed).toMatchObject({ Tags: ['v1', 'v2'] });
    await run('skopeo', ['delete', ...login(), remote('fleet/tags:v1')]);
    expect(JSON.parse(await run('skopeo', ['list-tags', ...login(), remote('fleet/tags')]))).toMatchObject({
      Tags: ['v2'],
    });
  });

  it('goes by way of a docker-archive in the Docker formats', async () => {
    await skopeoCopy('oci:layout:v2', remote('fleet/docker:v2'), '--format', 'v2s2');
    await skopeoCopy(remote('fleet/docker:v2'), `docker-archive:${scratch.file('image.tar')}:fleet/docker:v2`);
    await skopeoCopy(`docker-archive:${scratch.file('image.tar')}`, remote('fleet/docker:again'));
    const raw = JSON.parse(await run('skopeo', ['inspect', '--raw', ...login(), remote('fleet/docker:again')])) as {
      mediaType: string;
      layers: object[];
    };
    expect(raw.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
    expect(raw.layers).toHaveLength(2);
  });

  it('pushes and pulls an index with all its images', async () => {
    const manifests = Object.values(images).map(({ manifest }, at) => ({
      ...aDescriptor(manifest),
      platform: { os: 'linux', architecture: ['amd64', 'arm64'][at] },
    }));
    const index = aContent(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }), OCI_INDEX);
    await writeOciLayout(scratch.file('many'), { ...images, all: { ...images.v1, manifest: index } });
    await skopeoCopy('oci:many:all', remote('fleet/many:all'), '--all');
    await skopeoCopy(remote('fleet/many:all'), 'oci:many-back:all', '--all');
    expect((await manifestOf('many-back', 'all')).equals(index.bytes)).toBe(true);
  });

  it('is turned away with a wrong password, and without one', async () => {
    const trust = ['--cert-dir', certificates()];
    for (const access of [['--creds', 'x:wrong'], ['--no-creds']])
      await expect(run('skopeo', ['list-tags', ...access, ...trust, remote('fleet/os')])).rejects.toThrow(
        /unauthorized|authentication required|invalid username\/password/i,
      );
  });

  it('trusts the server by SSL_CERT_FILE, and not without', async () => {
    const access = ['--creds', `x:${ADMIN_TOKEN}`];
    const list = ['list-tags', ...access, remote('fleet/os')];
    await expect(run('skopeo', list)).rejects.toThrow(/x509|certificate/);
    expect(await run('skopeo', list, { SSL_CERT_FILE: scratch.file('ca.pem') })).toContain('v1');
  });

  it('pulls on a machine with its client certificate alone, and cannot push there', async () => {
    const x509 = new X509CertificateAuthority(ring.machineCa);
    const checked = await x509.checkCsr(await opensslCsr(scratch));
    if (checked.kind === 'refused') throw new Error(checked.reason);
    const validity = { notBefore: Date.now() - 1000, notAfter: Date.now() + 600_000 };
    const record = await x509.issue(checked, aMachineId('m-1'), validity);
    world.enrollment.machinesBySerial.set(record.serial, aMachine({ id: aMachineId('m-1') }));
    await mkdir(scratch.file('machine'));
    await scratch.write('machine/ca.crt', ring.machineCa.certificatePem);
    await scratch.write('machine/client.cert', record.pem);
    await scratch.write('machine/client.key', await scratch.read('machine.key'));
    const [source, target] = [remote('fleet/os:v1'), remote('fleet/os:evil')];
    const trust = (side: string): string[] => [`--${side}-cert-dir`, scratch.file('machine')];
    await run('skopeo', ['copy', '--src-no-creds', ...trust('src'), source, 'oci:machine-back:v1']);
    expect((await manifestOf('machine-back', 'v1')).equals(images.v1.manifest.bytes)).toBe(true);
    await expect(run('skopeo', ['copy', '--dest-no-creds', ...trust('dest'), 'oci:layout:v1', target])).rejects.toThrow(
      /denied|403/i,
    );
  });
});

const [noUmoci, umociReason] = needing('umoci', 'skopeo');

describe.skipIf(noUmoci)(`umoci${umociReason}`, () => {
  it('builds an image that is pushed, pulled and unpacked with every file as it was', async () => {
    const secret = randomBytes(100_000);
    await scratch.write('payload', secret);
    await run('umoci', ['init', '--layout', 'umoci']);
    await run('umoci', ['new', '--image', 'umoci:v1']);
    await run('umoci', ['insert', '--rootless', '--image', 'umoci:v1', 'payload', '/boot/payload']);
    await skopeoCopy('oci:umoci:v1', remote('fleet/umoci:v1'));
    await skopeoCopy(remote('fleet/umoci:v1'), 'oci:umoci-back:v1');
    await run('umoci', ['unpack', '--rootless', '--image', 'umoci-back:v1', 'bundle']);
    expect((await readFile(scratch.file('bundle/rootfs/boot/payload'))).equals(secret)).toBe(true);
  });
});

describe.each(['podman', 'buildah'])('%s', (tool) => {
  const [missing, reason] = needing(tool);
  const storage = (name: string): readonly string[] => [
    ...['--root', scratch.file(`${tool}-${name}`), '--runroot', scratch.file(`${tool}-${name}-run`)],
    ...['--storage-driver', 'vfs'],
  ];

  it.skipIf(missing)(`pushes, and pulls into an empty storage what has the same digest${reason}`, async () => {
    const [name, access] = [`${host}/fleet/${tool}:v1`, login()];
    await run(tool, [...storage('a'), 'pull', 'oci:layout:v2']);
    const listed = await run(tool, [...storage('a'), 'images', '--quiet', '--no-trunc']);
    const id = /[0-9a-f]{64}/.exec(listed)?.[0] ?? '';
    await run(tool, [...storage('a'), 'push', ...access, '--format', 'oci', id, `docker://${name}`]);
    await run(tool, [...storage('b'), 'pull', ...access, name]);
    expect(await run(tool, [...storage('b'), 'images', '--quiet', '--no-trunc'])).toContain(id);
  });
});

const [noPodman, podmanReason] = needing('podman', 'skopeo');

describe.skipIf(noPodman)(`podman login${podmanReason}`, () => {
  const logIn = (password: string): Promise<string> =>
    run('podman', [
      ...['--root', scratch.file('pl'), '--runroot', scratch.file('plr'), '--storage-driver', 'vfs', 'login'],
      ...['--authfile', scratch.file('auth.json'), '--cert-dir', certificates(), '-u', 'anybody', '-p', password, host],
    ]);

  it('takes any user name with the admin token as password, and no other password', async () => {
    expect(await logIn(ADMIN_TOKEN)).toContain('Login Succeeded');
    await expect(logIn('wrong')).rejects.toThrow(/invalid username\/password/);
    const access = ['--authfile', scratch.file('auth.json'), '--cert-dir', certificates()];
    await run('skopeo', [
      'copy',
      '--dest-authfile',
      scratch.file('auth.json'),
      '--dest-cert-dir',
      certificates(),
      'oci:layout:v1',
      remote('fleet/login:v1'),
    ]);
    expect(await run('skopeo', ['list-tags', ...access, remote('fleet/login')])).toContain('v1');
  });
});

const [noBuildah, buildahReason] = needing('buildah');

describe.skipIf(noBuildah)(`buildah from scratch${buildahReason}`, () => {
  it('commits straight to the registry', async () => {
    const storage = [`--root=${scratch.file('ba')}`, `--runroot=${scratch.file('bar')}`, '--storage-driver=vfs'];
    await scratch.write('motd', 'welcome\n');
    const container = (await run('buildah', [...storage, 'from', 'scratch'])).trim();
    await run('buildah', [...storage, 'add', container, scratch.file('motd'), '/etc/motd']);
    await run('buildah', [...storage, 'commit', ...login(), container, `docker://${host}/fleet/built:v1`]);
    const found = await registry.getManifest('fleet/built', 'v1');
    expect(found).toMatchObject({ kind: 'found' });
  });
});

const [noCurl, curlReason] = needing('curl');

describe.skipIf(noCurl)(`curl${curlReason}`, () => {
  const curl = (...args: readonly string[]): Promise<string> =>
    run('curl', ['-sS', '--cacert', scratch.file('ca.pem'), '-u', `x:${ADMIN_TOKEN}`, ...args]);
  const url = (path: string): string => `https://${host}/v2/${path}`;
  const offsetOf = (headers: string): number => Number(/^range: 0-(\d+)/im.exec(headers)?.[1]) + 1;

  it('resumes a pull in the middle (Range)', async () => {
    const layer = aContent(randomBytes(5_000_000));
    await scratch.write('layer', layer.bytes);
    await curl('-X', 'POST', '--data-binary', '@layer', url(`fleet/curl/blobs/uploads/?digest=${layer.digest}`));
    const blob = url(`fleet/curl/blobs/${layer.digest}`);
    expect((await curl('-r', '0-99', '-o', 'part', '-w', '%{http_code}', blob)).trim()).toBe('206');
    await writeFile(scratch.file('pulled'), layer.bytes.subarray(0, 1_234_567));
    await curl('-C', '-', '-o', 'pulled', blob);
    expect((await readFile(scratch.file('pulled'))).equals(layer.bytes)).toBe(true);
    expect(await curl('-I', blob)).toContain('content-length: 5000000');
  });

  it('resumes a push that was killed, where the server says', async () => {
    const layer = aContent(randomBytes(6_000_000));
    const started = await curl('-D', '-', '-X', 'POST', url('fleet/curl/blobs/uploads/'));
    const upload = `https://${host}${/^location: (\S+)/im.exec(started)?.[1] ?? ''}`;
    const octets = ['-H', 'Content-Type: application/octet-stream'];
    const chunk = async (start: number, end: number): Promise<string[]> => {
      await scratch.write('chunk', layer.bytes.subarray(start, end));
      return [...octets, '-H', `Content-Range: ${start}-${end - 1}`, '-X', 'PATCH', '--data-binary', '@chunk', upload];
    };
    await curl(...(await chunk(0, 2_000_000)));
    const access = ['-sS', '--cacert', scratch.file('ca.pem'), '-u', `x:${ADMIN_TOKEN}`, '--limit-rate', '500k'];
    const slow = spawn('curl', [...access, ...(await chunk(2_000_000, 6_000_000))], { cwd: scratch.path });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    slow.kill('SIGKILL');
    const offset = offsetOf(await curl('-D', '-', upload));
    expect(offset).toBe(2_000_000);
    await curl(...(await chunk(offset, 6_000_000)));
    const closed = await curl('-D', '-', '-X', 'PUT', `${upload}?digest=${layer.digest}`);
    expect(closed).toMatch(/^HTTP\/1\.1 201/);
    expect(await registry.getBlob('fleet/curl', layer.digest)).toMatchObject({ kind: 'found', sizeBytes: 6_000_000 });
  });
});
