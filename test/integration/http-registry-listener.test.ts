// The registry on a real TLS listener: machines that pull with their certificate, bodies that stream, clients that go away.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openKeyRing, type KeyRing } from '../../src/crypto/key-ring.ts';
import { issueServerCertificates } from '../../src/crypto/server-certificates.ts';
import { X509CertificateAuthority } from '../../src/crypto/x509-certificate-authority.ts';
import type { HttpApp } from '../../src/http/http-app.ts';
import { aMachine, aMachineId } from '../support/domain-builders.ts';
import { aContent, aManifest, OCI_CONFIG } from '../support/oci-layout.ts';
import { opensslCsr, Scratch } from '../support/openssl.ts';
import { RegistryHttp } from '../support/registry-http.ts';
import { anHttpWorld, AS_ADMIN } from '../unit/http/http-world.ts';

const CONFIG = aContent('{}', OCI_CONFIG);
const LAYER = aContent(randomBytes(900_000));
const IMAGE = aManifest(CONFIG, [LAYER]);

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

async function listening() {
  const world = anHttpWorld({ tls: await issueServerCertificates(ring, [], Date.now()) });
  open.push(world.api);
  await world.api.listen({ port: 0, host: '127.0.0.1' });
  const { port } = world.api.server.address() as AddressInfo;
  const request = (path: string, options: RequestOptions) =>
    httpsRequest({ port, path, host: '127.0.0.1', ca: ring.machineCa.certificatePem, agent: false, ...options });
  const call = async (path: string, options: RequestOptions = {}, body: Buffer | string = '') => {
    const sent = request(path, options);
    sent.end(body);
    return answerOf(sent);
  };
  const registry = new RegistryHttp(world.api, AS_ADMIN);
  return { ...world, port, request, call, client: registry };
}

async function answerOf(sent: ReturnType<typeof httpsRequest>) {
  const [response] = (await once(sent, 'response')) as [
    Readable & { statusCode: number; headers: Record<string, string> },
  ];
  const body = Buffer.concat((await response.toArray()) as Buffer[]);
  return { status: response.statusCode, headers: response.headers, body };
}

describe('a machine', () => {
  const identity = async () => {
    const x509 = new X509CertificateAuthority(ring.machineCa);
    const checked = await x509.checkCsr(await opensslCsr(scratch));
    if (checked.kind === 'refused') throw new Error(checked.reason);
    const validity = { notBefore: Date.now() - 1000, notAfter: Date.now() + 60_000 };
    const record = await x509.issue(checked, aMachineId('m-1'), validity);
    return { serial: record.serial, tls: { cert: record.pem, key: await scratch.read('machine.key') } };
  };

  it('pulls with its certificate and nothing else, and pushes nothing', async () => {
    const { call, client, enrollment } = await listening();
    const { serial, tls } = await identity();
    enrollment.machinesBySerial.set(serial, aMachine({ id: aMachineId('m-1') }));
    await client.push('fleet/os', CONFIG, LAYER);
    await client.putManifest('fleet/os', 'v1', IMAGE);
    const upload = await client.start('fleet/os');

    expect((await call('/v2/', tls)).status).toBe(200);
    expect((await call('/v2/fleet/os/manifests/v1', tls)).body.equals(IMAGE.bytes)).toBe(true);
    expect((await call('/v2/fleet/os/tags/list', tls)).status).toBe(200);
    const headers = { range: 'bytes=899990-' };
    const part = await call(`/v2/fleet/os/blobs/${LAYER.digest}`, { ...tls, headers });
    expect([part.status, part.body.equals(LAYER.bytes.subarray(899_990))]).toEqual([206, true]);

    for (const [method, path] of [
      ['POST', 'blobs/uploads/'],
      ['GET', upload.replace('/v2/fleet/os/', '')],
      ['PATCH', upload.replace('/v2/fleet/os/', '')],
      ['PUT', 'manifests/v2'],
      ['DELETE', 'manifests/v1'],
      ['DELETE', `blobs/${LAYER.digest}`],
    ] as const) {
      const answer = await call(`/v2/fleet/os/${path}`, { ...tls, method });
      expect([method, path, answer.status, String(answer.body)]).toEqual([
        ...[method, path, 403],
        expect.stringContaining('"DENIED"'),
      ]);
    }
  });

  it('pulls nothing with a certificate that the service does not know, or with a wrong password beside a good one', async () => {
    const { call, enrollment } = await listening();
    const { serial, tls } = await identity();
    const stranger = await call('/v2/', tls);
    expect([stranger.status, stranger.headers['www-authenticate']]).toEqual([401, 'Basic realm="Muster"']);
    enrollment.machinesBySerial.set(serial, aMachine({ id: aMachineId('m-1') }));
    expect((await call('/v2/', { ...tls, headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
  });
});

describe('an upload on the wire', () => {
  it('streams in without a length (RFC 9112 §7.1)', async () => {
    const { request, client, registry } = await listening();
    const sent = request(await client.start('fleet/os'), { method: 'PATCH', headers: AS_ADMIN });
    Readable.from([LAYER.bytes.subarray(0, 300_000), LAYER.bytes.subarray(300_000)]).pipe(sent);
    const answer = await answerOf(sent);
    expect([answer.status, answer.headers.range]).toEqual([202, '0-899999']);
    expect((await client.finish(String(answer.headers.location), LAYER.digest)).statusCode).toBe(201);
    expect(await registry.getBlob('fleet/os', LAYER.digest)).toMatchObject({ sizeBytes: 900_000 });
  });

  it('goes on after a client broke off, from the last chunk that was acknowledged; the log has no error', async () => {
    const { request, client, logLines } = await listening();
    const upload = await client.start('fleet/os');
    await client.patch(upload, LAYER.bytes.subarray(0, 400_000), '0-399999');
    const broken = request(upload, { method: 'PATCH', headers: { ...AS_ADMIN, 'content-range': '400000-899999' } });
    broken.on('error', () => undefined);
    broken.write(LAYER.bytes.subarray(400_000, 500_000));
    await expect.poll(() => broken.writableLength).toBe(0);
    broken.destroy();
    const status = await client.call('GET', upload);
    expect(status.headers.range).toBe('0-399999');
    expect((await client.patch(upload, LAYER.bytes.subarray(400_000), '400000-899999')).statusCode).toBe(202);
    expect((await client.finish(upload, LAYER.digest)).statusCode).toBe(201);
    expect(logLines.filter((line) => line.includes('"level":50'))).toEqual([]);
  });

  it('is answered before its end where it is too large, and the connection serves on', async () => {
    const { port, client } = await listening();
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: ring.machineCa.certificatePem });
    const ask = async (path: string, method: string, body: Buffer) => {
      const sent = httpsRequest({ port, path, method, host: '127.0.0.1', agent, headers: AS_ADMIN });
      sent.end(body);
      return answerOf(sent);
    };
    expect((await ask(await client.start('os'), 'PATCH', Buffer.alloc(1_500_000))).status).toBe(413);
    expect((await ask('/v2/os/manifests/v1', 'PUT', Buffer.alloc(5_000_000))).status).toBe(413);
    expect((await ask('/v2/', 'GET', Buffer.alloc(0))).status).toBe(200);
    agent.destroy();
  });

  it('may take its time: no clock but that of the idle socket runs', async () => {
    const { request, client, scheduler } = await listening();
    const headers = { ...AS_ADMIN, 'content-length': String(LAYER.bytes.length) };
    const sent = request(await client.start('os'), { method: 'PATCH', headers });
    sent.write(LAYER.bytes.subarray(0, 10));
    await expect.poll(() => sent.writableLength).toBe(0);
    scheduler.runAll();
    sent.end(LAYER.bytes.subarray(10));
    expect((await answerOf(sent)).status).toBe(202);
  });

  it('of a manifest that does not come ends with the clock for small bodies', async () => {
    const { request, scheduler } = await listening();
    const headers = { ...AS_ADMIN, 'content-length': '1000', 'content-type': 'application/json' };
    const sent = request('/v2/os/manifests/v1', { method: 'PUT', headers });
    const ended = new Promise((resolve) => sent.on('error', resolve));
    sent.write('{');
    await expect.poll(() => scheduler.waiting).toBeGreaterThan(0);
    scheduler.runAll();
    await ended;
  });
});
