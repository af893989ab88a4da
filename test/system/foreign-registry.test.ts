// `images import docker://…` and `images.upstream` against a registry that is not ours: Debian's docker-registry (distribution
// 2.8), filled by skopeo, over plain HTTP and over TLS with a password. Real servers, real processes.
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finished, startCli, type CliResult } from '../support/cli-world.ts';
import { aBootableImage } from '../support/conversion-world.ts';
import { aFile } from '../support/layer-builders.ts';
import {
  aContent,
  aDescriptor,
  aManifest,
  digestOf,
  OCI_CONFIG,
  OCI_INDEX,
  writeOciLayout,
  type ContainerImage,
} from '../support/oci-layout.ts';
import { capture, Scratch } from '../support/openssl.ts';
import { RegistryServer, type ServerAccess } from '../support/registry-server.ts';

const COMMAND_MS = 60_000;
const NAME = 'vendor/os';
const PULLS = 16;
/** bcrypt of `right`: the only kind of hash that the registry takes. */
const HTPASSWD = 'ada:$2a$04$abcdefghijklmnopqrstuuFmEfrkTQnczNzw475xE2VhDrK1uwJiC\n';
const ADA = 'ada:right';

const REGISTRY = 'docker-registry';
const missing = [REGISTRY, 'skopeo', 'mksquashfs'].filter(
  (command) => spawnSync(command, ['-version']).error !== undefined,
);

/** docker-registry as a process, with the lines of its access log. */
class ForeignRegistry {
  readonly host: string;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];

  private constructor(host: string, child: ChildProcess) {
    this.host = host;
    this.#child = child;
    if (child.stdout === null) throw new Error('docker-registry has no output');
    createInterface({ input: child.stdout }).on('line', (line) => this.#lines.push(line));
  }

  static async start(scratch: Scratch, name: 'plain' | 'locked'): Promise<ForeignRegistry> {
    const port = await freePort();
    const http =
      name === 'plain'
        ? { addr: `127.0.0.1:${port}` }
        : { addr: `127.0.0.1:${port}`, tls: { certificate: scratch.file('cert.pem'), key: scratch.file('key.pem') } };
    const configuration = {
      version: '0.1',
      log: { level: 'error' },
      storage: { filesystem: { rootdirectory: scratch.file('store') } },
      http,
      ...(name === 'locked' && { auth: { htpasswd: { realm: 'vendor', path: scratch.file('htpasswd') } } }),
    };
    // JSON is YAML.
    const file = await scratch.write(`${name}.yml`, JSON.stringify(configuration));
    const child = spawn(REGISTRY, ['serve', file], { stdio: ['ignore', 'pipe', 'ignore'] });
    const registry = new ForeignRegistry(`127.0.0.1:${port}`, child);
    await listening(port);
    return registry;
  }

  forget(): void {
    this.#lines.length = 0;
  }

  /** Paths that it gave the content of, each as often as it did. */
  async served(part: 'blobs' | 'manifests'): Promise<readonly string[]> {
    await sleep(200);
    return this.#lines.flatMap((line) => {
      const [, path = '', status = ''] = /"GET (\S+) HTTP\/[\d.]+" (\d+)/.exec(line) ?? [];
      return path.includes(`/${part}/`) && /^20[06]$/.test(status) ? [path] : [];
    });
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'close');
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const socket = connect(port, '127.0.0.1');
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isOpen) return;
    await sleep(50);
  }
  throw new Error(`docker-registry does not listen on ${port}`);
}

/** The same image for another processor. */
function forArm64(image: ContainerImage): ContainerImage {
  const document = JSON.parse(image.config.bytes.toString()) as object;
  const config = aContent(JSON.stringify({ ...document, architecture: 'arm64' }), OCI_CONFIG);
  return { config, layers: image.layers, manifest: aManifest(config, image.layers) };
}

describe.skipIf(missing.length > 0)(
  `another registry${missing.length > 0 ? ` [skipped: no ${missing.join(', ')}]` : ''}`,
  () => {
    const v1 = aBootableImage(aFile('usr/lib/big', randomBytes(5_000_000)));
    const images = { v1, arm: forArm64(v1), spoiled: aBootableImage(aFile('etc/motd', randomBytes(100_000))) };
    const index = aContent(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [
          { ...aDescriptor(images.v1.manifest), platform: { os: 'linux', architecture: 'amd64' } },
          { ...aDescriptor(images.arm.manifest), platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
        ],
      }),
      OCI_INDEX,
    );
    let scratch: Scratch;
    let plain: ForeignRegistry;
    let locked: ForeignRegistry;
    const servers: RegistryServer[] = [];

    const skopeo = async (...words: readonly string[]): Promise<string> => {
      const env = { ...process.env, HOME: scratch.path, TMPDIR: scratch.path };
      return (await promisify(execFile)('skopeo', words, { timeout: COMMAND_MS, env, cwd: scratch.path })).stdout;
    };

    const startMuster = async (name: string, settings: Readonly<Record<string, string>> = {}) => {
      const server = new RegistryServer(scratch.file(name), settings);
      servers.push(server);
      const access = await server.access();
      await mkdir(scratch.file(`${name}-ca`));
      await scratch.write(`${name}-ca/ca.crt`, access.ca);
      return access;
    };

    /** How skopeo gets at a Muster, as a source. */
    const from = (name: string, { url, token }: ServerAccess, image: string): readonly string[] => [
      ...['--src-creds', `me:${token}`, '--src-cert-dir', scratch.file(`${name}-ca`)],
      image.replace('MUSTER', new URL(url).host),
    ];

    const manifestAt = (name: string, { url, token }: ServerAccess, image: string): Promise<string> =>
      skopeo(
        ...['inspect', '--raw', '--creds', `me:${token}`, '--cert-dir', scratch.file(`${name}-ca`)],
        `docker://${new URL(url).host}/${image}`,
      );

    beforeAll(async () => {
      scratch = await Scratch.open();
      await capture('openssl', [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
        ...['-subj', '/CN=vendor', '-addext', 'subjectAltName=IP:127.0.0.1'],
        ...['-keyout', scratch.file('key.pem'), '-out', scratch.file('cert.pem')],
      ]);
      await scratch.write('htpasswd', HTPASSWD);
      plain = await ForeignRegistry.start(scratch, 'plain');
      await writeOciLayout(scratch.file('layout'), { ...images, multi: { ...images.v1, manifest: index } });
      for (const tag of ['v1', 'spoiled', 'multi'])
        await skopeo(
          ...['copy', '--all', '--dest-tls-verify=false'],
          ...[`oci:layout:${tag}`, `docker://${plain.host}/${NAME}:${tag}`],
        );
      // After the push: what one process has removed or not found, the other may remember.
      locked = await ForeignRegistry.start(scratch, 'locked');
    });
    afterAll(async () => {
      await Promise.all([plain.kill(), locked.kill(), ...servers.map((server) => server.stop())]);
      await scratch[Symbol.asyncDispose]();
    });

    describe('images import docker://…', () => {
      let muster: ServerAccess;

      beforeAll(async () => {
        muster = await startMuster('shop');
      });

      const runImport = (words: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<CliResult> => {
        const access = {
          MUSTER_URL: muster.url,
          MUSTER_TOKEN: muster.token,
          MUSTER_CA_FILE: scratch.file('shop-ca/ca.crt'),
        };
        return finished(startCli(['images', 'import', ...words], { ...access, ...more }, scratch.path));
      };
      const fill = (text: string): string => text.replace('PLAIN', plain.host).replace('LOCKED', locked.host);

      it('brings an image in byte for byte and makes it ready to boot', async () => {
        const outcome = await runImport([`docker://${plain.host}/${NAME}:v1`, '--name', 'fleet/os:1']);
        expect(outcome).toMatchObject({ status: 0, stdout: expect.stringContaining('fleet/os:1 is ready') as string });
        expect(await manifestAt('shop', muster, 'fleet/os:1')).toBe(images.v1.manifest.bytes.toString());
        await skopeo('copy', ...from('shop', muster, 'docker://MUSTER/fleet/os:1'), 'oci:back:1');
        for (const { digest } of [images.v1.config, ...images.v1.layers])
          expect(digestOf(await readFile(scratch.file(`back/blobs/${digest.replace(':', '/')}`)))).toBe(digest);
      });

      it('fetches nothing the second time, and says so', async () => {
        plain.forget();
        const outcome = await runImport([`docker://${plain.host}/${NAME}:v1`, '--name', 'fleet/os:1']);
        expect(outcome.status).toBe(0);
        expect(
          outcome.stderr
            .trim()
            .split('\n')
            .map((line) => line.trim()),
        ).toEqual(
          ['layer 1/2', 'layer 2/2', 'config'].map((label) => `${`send ${label}`.padEnd(18)} is there already`),
        );
        expect(await plain.served('blobs')).toEqual([]);
      });

      it.each([
        ['linux/amd64', 'v1'],
        ['linux/arm64', 'arm'],
        ['linux/arm64/v8', 'arm'],
      ] as const)('takes the image for %s out of an index', async (platform, image) => {
        const source = `docker://${plain.host}/${NAME}:multi`;
        const outcome = await runImport([source, '--name', 'fleet/multi:1', '--platform', platform, '--no-wait']);
        expect(outcome.status).toBe(0);
        expect(await manifestAt('shop', muster, 'fleet/multi:1')).toBe(images[image].manifest.bytes.toString());
      });

      it('speaks TLS and shows the password, with an authority that the machine was told of', async () => {
        const words = [`docker://${locked.host}/${NAME}@${images.v1.manifest.digest}`, '--name', 'fleet/tls:1'];
        const trust = { SSL_CERT_FILE: scratch.file('cert.pem') };
        expect(await runImport([...words, '--creds', ADA, '--no-wait'], trust)).toMatchObject({ status: 0 });
        expect(await manifestAt('shop', muster, 'fleet/tls:1')).toBe(images.v1.manifest.bytes.toString());
      });

      it.each([
        ['a tag that is not there', 'PLAIN/vendor/os:v9', [], /no v9 at .*\nFix: name one of its tags: .*\bmulti\b/],
        [
          'a digest that is not there',
          `PLAIN/vendor/os@sha256:${'0'.repeat(64)}`,
          [],
          /no sha256:0+ at .*\nFix: name one/,
        ],
        ['a name that is not there', 'PLAIN/vendor/sos:v1', [], /no v1 at .*\nFix: correct the name/],
        ['no password', 'LOCKED/vendor/os:v1', [], /status 401.*\nFix: .*--creds USER:PASSWORD/],
        [
          'a wrong password',
          'LOCKED/vendor/os:v1',
          ['--creds', 'ada:wrong'],
          /status 401.*\nFix: correct the user name/,
        ],
        [
          'a platform that it has not',
          'PLAIN/vendor/os:multi',
          ['--platform', 'linux/s390x'],
          /linux\/amd64, linux\/arm64/,
        ],
        ['a registry without TLS elsewhere', '[::ffff:7f00:1]:PORT/vendor/os:v1', [], /no.* TLS.*\nFix: skopeo copy/],
        ['nobody at all', '127.0.0.1:9/vendor/os:v1', [], /does not answer.*\nFix: correct host and port/],
      ])('says what to do about %s', async (_what, source, words, text) => {
        const port = plain.host.split(':')[1] ?? '';
        const address = `docker://${fill(source).replace('PORT', port)}`;
        const trust = { SSL_CERT_FILE: scratch.file('cert.pem') };
        const outcome = await runImport([address, '--name', 'fleet/none:1', ...words], trust);
        expect(outcome).toMatchObject({ status: 1, stdout: '' });
        expect(outcome.stderr).toMatch(text);
        expect(outcome.stderr).not.toContain('defect');
      });

      it('says what to do about an authority that the machine does not know', async () => {
        const outcome = await runImport([
          `docker://${locked.host}/${NAME}:v1`,
          '--name',
          'fleet/none:1',
          '--creds',
          ADA,
        ]);
        expect(outcome.status).toBe(1);
        expect(outcome.stderr).toContain(
          `\nFix: put the certificate of its authority at /etc/containers/certs.d/${locked.host}`,
        );
      });

      it.each([
        [['docker://PLAIN/vendor/os@sha256:12'], 'NAME@DIGEST'],
        [['docker://PLAIN'], 'HOST[:PORT]/NAME:TAG'],
        [['docker://PLAIN/vendor/os:v1', '--creds', 'ada'], '--creds USER:PASSWORD'],
      ])('knows without asking anybody that %s cannot be', async ([source = '', ...words], text) => {
        const outcome = await runImport([fill(source), '--name', 'fleet/none:1', ...words]);
        expect(outcome).toMatchObject({ status: 2, stderr: expect.stringContaining(text) as string });
      });

      it('leaves no image behind where the other registry sends other bytes than it promised', async () => {
        const { digest, bytes } = images.spoiled.layers[1]!;
        const [, hex = ''] = digest.split(':');
        const file = scratch.file(`store/docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`);
        await writeFile(file, Buffer.alloc(bytes.length, 'x'));
        const outcome = await runImport([`docker://${plain.host}/${NAME}:spoiled`, '--name', 'fleet/spoiled:1']);
        expect(outcome.status).toBe(1);
        expect(outcome.stderr).toMatch(/other bytes than sha256:.*\[digest-mismatch\]/);
        await expect(manifestAt('shop', muster, 'fleet/spoiled:1')).rejects.toThrow(
          /manifest unknown|NAME_UNKNOWN|not known/i,
        );
      });
    });

    describe('images.upstream', () => {
      let muster: ServerAccess;

      beforeAll(async () => {
        await scratch.write('password', 'right\n');
        await scratch.write('wrong-password', 'wrong\n');
        const upstream = { url: `https://${locked.host}`, username: 'ada', caFile: scratch.file('cert.pem') };
        const settings = {
          interfaces: ['lo'],
          images: {
            upstream: [
              { ...upstream, passwordFile: scratch.file('password') },
              { ...upstream, prefix: 'badly', passwordFile: scratch.file('wrong-password') },
              { prefix: 'plain', url: `http://${plain.host}/vendor` },
            ],
          },
        };
        muster = await startMuster('rack', {
          MUSTER_CONFIG: await scratch.write('rack.yaml', JSON.stringify(settings)),
        });
        locked.forget();
      });

      const pull = (image: string, folder: string, ...words: readonly string[]): Promise<string> =>
        skopeo(...words, 'copy', ...from('rack', muster, `docker://MUSTER/${image}`), `dir:${scratch.file(folder)}`);
      const manifestIn = async (folder: string): Promise<Buffer> => readFile(scratch.file(`${folder}/manifest.json`));

      it(`fetches each blob once for ${PULLS} that pull at the same time`, async () => {
        const folders = Array.from({ length: PULLS }, (_, number) => `pull-${number}`);
        await Promise.all(folders.map((folder) => pull(`${NAME}:v1`, folder)));
        for (const folder of folders) {
          expect((await manifestIn(folder)).equals(images.v1.manifest.bytes)).toBe(true);
          for (const { digest } of [images.v1.config, ...images.v1.layers])
            expect(digestOf(await readFile(scratch.file(`${folder}/${digest.slice(7)}`)))).toBe(digest);
        }
        const wanted = [images.v1.config, ...images.v1.layers].map(({ digest }) => `/v2/${NAME}/blobs/${digest}`);
        expect((await locked.served('blobs')).toSorted()).toEqual(wanted.toSorted());
        expect(await locked.served('manifests')).toHaveLength(1);
      });

      it('lets the client choose a platform, and fetches of it only what is new', async () => {
        locked.forget();
        await pull(`${NAME}:multi`, 'arm', '--override-arch', 'arm64', '--override-variant', 'v8');
        expect((await manifestIn('arm')).equals(images.arm.manifest.bytes)).toBe(true);
        expect(await locked.served('blobs')).toEqual([`/v2/${NAME}/blobs/${images.arm.config.digest}`]);
        expect(await manifestAt('rack', muster, `${NAME}:multi`)).toBe(index.bytes.toString());
      });

      it('goes by a prefix to a folder of a registry without TLS', async () => {
        await pull('plain/os:v1', 'plain');
        expect((await manifestIn('plain')).equals(images.v1.manifest.bytes)).toBe(true);
      });

      it('passes no bytes on that are not what their digest says', async () => {
        await expect(pull(`${NAME}:spoiled`, 'spoiled')).rejects.toThrow('404');
      });

      it('tells who pulls that the password of the upstream is wrong', async () => {
        await expect(manifestAt('rack', muster, `badly/${NAME}:v1`)).rejects.toThrow(/unauthorised/);
      });

      it('serves what it has once the other registry is dead, and says why it has no more', async () => {
        await Promise.all([plain.kill(), locked.kill()]);
        await pull(`${NAME}:v1`, 'after');
        await pull(`${NAME}@${images.arm.manifest.digest}`, 'after-arm');
        expect((await manifestIn('after')).equals(images.v1.manifest.bytes)).toBe(true);
        expect((await manifestIn('after-arm')).equals(images.arm.manifest.bytes)).toBe(true);
        await expect(manifestAt('rack', muster, `${NAME}:never`)).rejects.toThrow(/unreachable/);
      });

      it('logged no error: whatever an upstream does is a warning', () => {
        expect(servers.flatMap(({ errors }) => errors)).toEqual([]);
      });
    });
  },
);
