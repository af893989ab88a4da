// The listeners on real sockets: what inject() cannot show. TLS with client certificates, bytes on the wire, transfers that
// break off, streams that last, and the end.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ServedReport } from '../../src/boot-sessions/boot-resource.ts';
import { openKeyRing, type KeyRing } from '../../src/crypto/key-ring.ts';
import { issueServerCertificates } from '../../src/crypto/server-certificates.ts';
import { X509CertificateAuthority } from '../../src/crypto/x509-certificate-authority.ts';
import type { HttpApp } from '../../src/http/http-app.ts';
import { parseDigest } from '../../src/images/digest.ts';
import { aMachine, anEvent, aMachineId } from '../support/domain-builders.ts';
import { opensslCsr, Scratch } from '../support/openssl.ts';
import { anHttpWorld, AS_ADMIN, FORM } from '../unit/http/http-world.ts';

const BIG = randomBytes(8_000_000);
const BIG_DIGEST = parseDigest(`sha256:${createHash('sha256').update(BIG).digest('hex')}`)!;

let scratch: Scratch;
let ring: KeyRing;
const open: HttpApp[] = [];

beforeAll(async () => {
  scratch = await Scratch.open();
  ring = await openKeyRing(scratch.file('data'), { now: () => Date.now() });
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((app) => app.close()));
});
afterAll(async () => {
  await scratch[Symbol.asyncDispose]();
});

async function listening(overrides: Parameters<typeof anHttpWorld>[0] = {}) {
  const world = anHttpWorld({ tls: await issueServerCertificates(ring, [], Date.now()), ...overrides });
  for (const app of [world.api, world.plain]) await app.listen({ port: 0, host: '127.0.0.1' });
  open.push(world.api, world.plain);
  const [apiPort, plainPort] = [world.api, world.plain].map((app) => (app.server.address() as AddressInfo).port);
  const call = (path: string, options: RequestOptions = {}, body = '') => callTls(apiPort ?? 0, path, options, body);
  return { ...world, call, apiPort: apiPort ?? 0, plainPort: plainPort ?? 0 };
}

async function callTls(port: number, path: string, options: RequestOptions, body: string) {
  const request = httpsRequest({
    port,
    path,
    host: '127.0.0.1',
    ca: ring.machineCa.certificatePem,
    agent: false,
    ...options,
  });
  request.end(body);
  const [response] = (await once(request, 'response')) as [Readable & { statusCode: number; headers: object }];
  const chunks = await response.toArray();
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks as Buffer[]).toString() };
}

/** Bytes out, bytes in, until the server closes. */
async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(text.replaceAll('\n', '\r\n'));
  return Buffer.concat((await socket.toArray()) as Buffer[]).toString('latin1');
}

describe('client certificates', () => {
  const identity = async (authority = ring.machineCa) => {
    const csrPem = await opensslCsr(scratch);
    const x509 = new X509CertificateAuthority(authority);
    const checked = await x509.checkCsr(csrPem);
    if (checked.kind === 'refused') throw new Error(checked.reason);
    const validity = { notBefore: Date.now() - 1000, notAfter: Date.now() + 60_000 };
    const record = await x509.issue(checked, aMachineId('m-1'), validity);
    return { serial: record.serial, tls: { cert: record.pem, key: await scratch.read('machine.key') } };
  };

  it('open the agent routes for the machine whose serial number the service knows', async () => {
    const { call, enrollment } = await listening();
    const { serial, tls } = await identity();
    enrollment.machinesBySerial.set(serial, aMachine({ id: aMachineId('m-1'), state: 'enrolled' }));
    const answer = await call('/api/v1/agent/desired', tls);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatch(
      /^machine_id=m-1\nstate=enrolled\nheartbeat_seconds=30\nconfig_digest=sha256:[0-9a-f]{64}\nhostname=[\w-]+\n$/,
    );
    const config = await call('/api/v1/agent/config', tls);
    expect(config.headers).toMatchObject({ 'content-type': 'text/cloud-config', etag: /^"sha256-[0-9a-f]{64}"$/ });
    expect(config.body).toMatch(/^#cloud-config\n/);
  });

  it('do nothing where they are missing, unknown to the service or signed by another authority', async () => {
    const { call, enrollment } = await listening();
    const known = await identity();
    const stranger = await identity((await openKeyRing(scratch.file('other'), { now: () => Date.now() })).machineCa);
    enrollment.machinesBySerial.set(stranger.serial, aMachine());
    for (const tls of [{}, known.tls, stranger.tls]) {
      const answer = await call('/api/v1/agent/desired', tls);
      expect([answer.status, answer.body.split(':')[0]]).toEqual([401, 'unauthorised']);
    }
  });

  it('let an agent report, beat and speak, but not without end', async () => {
    const { call, enrollment, machines, stores, events } = await listening();
    const { serial, tls } = await identity();
    const machine = aMachine({ id: aMachineId('m-1'), state: 'enrolled' });
    await stores.machines.insert(machine);
    enrollment.machinesBySerial.set(serial, machine);
    const post = (path: string, body: string) =>
      call(`/api/v1/agent/${path}`, { ...tls, method: 'POST', headers: FORM }, body);

    const { digest, hostname } = machines.configOf(machine);
    const wrong = await post('report', `cloud_init=done&config_digest=${digest}&hostname=other&file=missing+/etc/x+y`);
    expect([wrong.status, wrong.body]).toEqual([200, 'state=failed\n']);
    const right = await post('report', `cloud_init=done&config_digest=${digest}&hostname=${hostname}`);
    expect(right.body).toBe('state=configured\n');
    expect((await post('report', 'config_digest=x')).status).toBe(400);
    expect((await post('report', 'cloud_init=done&file=nonsense')).status).toBe(400);

    const beat = await post('heartbeat', 'uptime_seconds=12.5&load=0.10&boot_id=b-1');
    expect(beat.body).toContain('state=active\n');
    expect((await post('event', 'level=warn&message=hot')).status).toBe(204);
    expect((await post('event', 'level=loud&message=hot')).status).toBe(400);
    await events.flush();
    expect(await stores.events.query({ kind: 'agent-message', limit: 9 })).toMatchObject([
      { machineId: 'm-1', details: { level: 'warn', message: 'hot' } },
    ]);
    const statuses = [];
    for (let count = 0; count < 4; count += 1) statuses.push((await post('event', 'level=info&message=x')).status);
    expect(statuses.at(-1)).toBe(429);
  });

  it('are renewed by the service', async () => {
    const { call, enrollment } = await listening();
    const { serial, tls } = await identity();
    enrollment.machinesBySerial.set(serial, aMachine());
    enrollment.outcome = { kind: 'refused', code: 'csr-invalid', message: 'No key.' };
    const answer = await call('/api/v1/agent/renew', { ...tls, method: 'POST', headers: FORM }, 'csr=x');
    expect([answer.status, answer.body]).toEqual([400, 'csr-invalid: No key.\n']);
  });
});

describe('the plain listener on the wire', () => {
  it('answers HEAD as GET, on doubled slashes, and whatever Host says (EDK2 leaves out the port)', async () => {
    const { plainPort, boot } = await listening();
    boot.resourceToGive = { kind: 'text', body: '#!ipxe\n', contentType: 'text/plain' };
    const ask = async (method: string): Promise<string> => {
      const answer = await raw(plainPort, `${method} //boot/T//boot.ipxe HTTP/1.1\nHost: x\nConnection: close\n\n`);
      return answer.replace(/Date: .*\r\n/, '');
    };
    const get = await ask('GET');
    expect(get).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(await ask('HEAD')).toBe(get.replace('#!ipxe\n', ''));
  });

  it.each(['POST / HTTP/1.1\nHost: x\nContent-Length: 0', 'GET /%zz HTTP/1.1\nHost: x', 'nonsense', 'GET / HTTP/1.1'])(
    'answers %j with an error and goes on',
    async (request) => {
      const { plainPort, plain } = await listening();
      expect(await raw(plainPort, `${request}\nConnection: close\n\n`)).toMatch(/^HTTP\/1\.1 4\d\d /);
      expect((await plain.inject('/healthz')).statusCode).toBe(200);
    },
  );

  it('logs nothing of what is not HTTP, as it may hold a path token', async () => {
    const { plainPort, logLines } = await listening();
    await raw(plainPort, 'GET /boot/SecretToken/x HTTP/1.1\nbroken header\n\n');
    expect(logLines.join('')).not.toMatch(/Secret|83,101,99,114,101,116/);
  });

  it('sends a big blob whole, and tells when a client left before the end', async () => {
    const { plainPort, boot, blobs } = await listening();
    await blobs.put(BIG_DIGEST, Readable.from([BIG]), BIG.length);
    const reports: ServedReport[] = [];
    boot.resourceToGive = {
      kind: 'blob',
      digest: BIG_DIGEST,
      sizeBytes: BIG.length,
      contentType: 'application/octet-stream',
      onServed: (report) => reports.push(report),
    };
    const answer = await fetch(`http://127.0.0.1:${plainPort}/boot/T/rootfs.squashfs`);
    expect(Buffer.from(await answer.arrayBuffer()).equals(BIG)).toBe(true);
    await expect.poll(() => reports).toEqual([{ bytes: BIG.length, durationMs: 0, complete: true }]);

    const socket = connect(plainPort, '127.0.0.1');
    socket.write('GET /boot/T/rootfs.squashfs HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    socket.destroy();
    await expect.poll(() => reports[1]?.complete).toBe(false);
  });
});

describe('a transfer', () => {
  const serving = async (content: () => AsyncGenerator<Buffer>) => {
    const world = await listening();
    world.blobs.read = () => Readable.from(content());
    const reports: ServedReport[] = [];
    world.boot.resourceToGive = {
      ...{ kind: 'blob', digest: BIG_DIGEST, sizeBytes: 6, contentType: 'application/octet-stream' },
      onServed: (report) => reports.push(report),
    };
    const socket = connect(world.plainPort, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET /boot/T/x HTTP/1.1\r\nHost: x\r\n\r\n');
    return { ...world, reports, socket };
  };

  it('counts as complete for a client that closes once it has the last byte, before the store says it was the last', async () => {
    const { socket, reports } = await serving(async function* () {
      yield Buffer.from('abc');
      yield Buffer.from('def');
      await new Promise((done) => setTimeout(done, 100));
    });
    for await (const data of socket) if (String(data).endsWith('def')) break;
    await expect.poll(() => reports).toEqual([{ bytes: 6, durationMs: 0, complete: true }]);
  });

  it.each([
    ['fails', () => Promise.reject(new Error('disk on fire')), /disk on fire.*could not read a blob/],
    ['ends too early', () => Promise.resolve(), /^/],
  ])('is broken off, not ended, when the store %s: the client must not take it for whole', async (_name, then, log) => {
    const { socket, reports, logLines } = await serving(async function* () {
      yield Buffer.from('abc');
      await then();
    });
    socket.resume();
    await once(socket, 'close');
    await expect.poll(() => reports).toEqual([{ bytes: 3, durationMs: 0, complete: false }]);
    expect(logLines.join('')).toMatch(log);
  });
});

describe('GET /api/v1/events/stream', () => {
  const stream = async (port: number, path: string, headers: Record<string, string> = {}) => {
    const request = httpsRequest({
      ...{ port, path, host: '127.0.0.1', agent: false, ca: ring.machineCa.certificatePem },
      headers: { ...AS_ADMIN, ...headers },
    });
    request.end();
    const [response] = (await once(request, 'response')) as [Readable & { headers: object }];
    let text = '';
    response.setEncoding('utf8');
    response.on('error', () => undefined);
    response.on('data', (chunk: string) => (text += chunk));
    const ids = (): string[] => Array.from(text.matchAll(/^id: (\d+)$/gm), ([, id]) => id ?? '');
    return { response, ids, text: () => text, end: () => request.destroy() };
  };

  it('replays what came after a number, then goes on live, each event once and in order', async () => {
    const { apiPort, events } = await listening();
    for (let count = 0; count < 1200; count += 1) events.record(anEvent());
    await events.flush();
    const replayed = await stream(apiPort, '/api/v1/events/stream?after=100');
    expect(replayed.response.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
    });
    await expect.poll(() => replayed.ids().length).toBe(1100);
    await events.recordNow(anEvent());
    await expect.poll(() => replayed.ids().length).toBe(1101);
    expect(replayed.ids()).toEqual(Array.from({ length: 1101 }, (_, index) => String(101 + index)));
    expect(replayed.text()).toMatch(/event: boot-event\ndata: \{.*"seq":1201.*\}\n\n$/);
    replayed.end();
  });

  it('goes on where a reader was cut off (Last-Event-ID wins over the URL), and starts with now without a number', async () => {
    const { apiPort, events } = await listening();
    for (let count = 0; count < 3; count += 1) await events.recordNow(anEvent());
    const again = await stream(apiPort, '/api/v1/events/stream?after=0', { 'last-event-id': '2' });
    const fresh = await stream(apiPort, '/api/v1/events/stream');
    await expect.poll(() => again.ids()).toEqual(['3']);
    await events.recordNow(anEvent());
    await expect.poll(() => fresh.ids()).toEqual(['4']);
    again.end();
    fresh.end();
  });

  it('tells of one machine alone, beats while nothing happens, and forgets readers that left', async () => {
    const { apiPort, events, stores, scheduler } = await listening();
    await stores.machines.insert(aMachine({ id: aMachineId('m-1') }));
    const one = await stream(apiPort, '/api/v1/events/stream?machine=m-1');
    await events.recordNow(anEvent({ machineId: aMachineId('m-2') }));
    await events.recordNow(anEvent({ machineId: aMachineId('m-1') }));
    await expect.poll(() => one.ids()).toEqual(['2']);
    const before = scheduler.waiting;
    expect(before).toBeGreaterThan(0);
    one.end();
    await expect.poll(() => scheduler.waiting).toBeLessThan(before);

    const two = await stream(apiPort, '/api/v1/events/stream');
    scheduler.runAll();
    await expect.poll(() => two.text()).toContain('\n: still here\n');
  });

  it('cuts off a reader that does not keep up', async () => {
    const { apiPort, events } = await listening();
    const slow = await stream(apiPort, '/api/v1/events/stream');
    slow.response.pause();
    const long = { client: 'x'.repeat(2000), architecture: 'x64-uefi', interface: 'eth0' };
    for (let count = 0; count < 9000; count += 1) events.record(anEvent({ details: long }));
    await events.flush();
    slow.response.resume();
    await expect.poll(() => slow.response.destroyed, { timeout: 10_000 }).toBe(true);
    expect(slow.ids().length).toBeLessThan(9000);
  });

  it('ends when the server stops', async () => {
    const { apiPort, api } = await listening();
    const reader = await stream(apiPort, '/api/v1/events/stream');
    await api.close();
    await expect.poll(() => reader.response.readableEnded).toBe(true);
  });
});

describe('the end', () => {
  it('comes although a client holds a download open: after a while that is cut', async () => {
    const { plain, plainPort, boot, blobs, scheduler } = await listening();
    await blobs.put(BIG_DIGEST, Readable.from([BIG]), BIG.length);
    boot.resourceToGive = {
      ...{ kind: 'blob', digest: BIG_DIGEST, sizeBytes: BIG.length, contentType: 'application/octet-stream' },
      onServed: () => undefined,
    };
    const socket = connect(plainPort, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET /boot/T/x HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    socket.pause();
    const closed = plain.close();
    await expect.poll(() => scheduler.waiting).toBeGreaterThan(0);
    scheduler.runAll();
    await closed;
    socket.destroy();
  });

  it('comes to a client whose small body does not', async () => {
    const { plainPort, scheduler } = await listening();
    const answer = raw(plainPort, 'POST /api/v1/enroll HTTP/1.1\nHost: x\nContent-Length: 9\n\nabc');
    await expect.poll(() => scheduler.waiting).toBeGreaterThan(0);
    scheduler.runAll();
    expect(await answer).not.toContain(' 200 ');
  });
});
