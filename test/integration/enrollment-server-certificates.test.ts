// Real TLS clients against node:https with both server certificates, as the API listener uses them.
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openKeyRing } from '../../src/crypto/key-ring.ts';
import { issueServerCertificates } from '../../src/crypto/server-certificates.ts';
import { X509CertificateAuthority } from '../../src/crypto/x509-certificate-authority.ts';
import { aMachineId } from '../support/domain-builders.ts';
import { capture, opensslCsr, Scratch } from '../support/openssl.ts';

const clock = { now: () => Date.now() };

/** Firmware that knows no elliptic curve certificates: RSA signatures alone, TLS 1.2. */
const RSA_ONLY = ['-tls1_2', '-sigalgs', 'RSA-PSS+SHA256:RSA+SHA256'];

describe('issueServerCertificates', () => {
  let scratch: Scratch;
  let server: Server;
  let port: number;
  let authority: X509CertificateAuthority;

  beforeAll(async () => {
    scratch = await Scratch.open();
    const ring = await openKeyRing(scratch.file('data'), clock);
    authority = new X509CertificateAuthority(ring.machineCa);
    const tls = await issueServerCertificates(ring, ['192.0.2.7', 'fd00::7', 'muster.example'], clock.now());
    await scratch.write('ec.pem', tls.cert[0]!);
    await scratch.write('rsa.pem', tls.cert[1]!);
    server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, ({ socket }, response) => {
      if (!(socket instanceof TLSSocket)) throw new Error('not TLS');
      const serial = socket.authorized ? socket.getPeerCertificate().serialNumber : '';
      response.end(JSON.stringify({ authorized: socket.authorized, serial }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await scratch[Symbol.asyncDispose]();
  });

  const handshake = (caFile: string, args: readonly string[]): Promise<string> =>
    capture('openssl', [
      ...['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', scratch.file(caFile), '-verify_ip', '127.0.0.1'],
      ...['-verify_return_error', '-showcerts', ...args],
    ]);

  it.each([
    ['TLS 1.3', ['-tls1_3']],
    ['TLS 1.2', ['-tls1_2']],
    ['TLS 1.2, ECDSA alone', ['-tls1_2', '-sigalgs', 'ECDSA+SHA256']],
  ])('shows a modern client the EC certificate, which ca.pem verifies: %s', async (_, args) => {
    const output = await handshake('data/ca.pem', args);
    expect(output).toContain('Verify return code: 0 (ok)');
    expect(output).toMatch(/issuer=CN = Muster CA [0-9a-f]{8}/);
    expect(output).toContain('Server public key is 256 bit');
  });

  it('shows a client that knows RSA alone the RSA certificate, which boot-ca.pem verifies', async () => {
    const output = await handshake('data/boot-ca.pem', RSA_ONLY);
    expect(output).toContain('Verify return code: 0 (ok)');
    expect(output).toMatch(/issuer=CN = Muster boot CA [0-9a-f]{8}/);
    expect(output).toContain('Server public key is 2048 bit');
  });

  it('lets firmware in that has no (EC)DHE and encrypts to the RSA key (RFC 5246 §7.4.7.1)', async () => {
    const output = await handshake('data/boot-ca.pem', ['-tls1_2', '-cipher', 'kRSA']);
    expect(output).toContain('Verify return code: 0 (ok)');
    expect(output).toContain('Server public key is 2048 bit');
  });

  it('is verified by curl with ca.pem alone, by address and by localhost', async () => {
    const get = (host: string): Promise<string> =>
      capture('curl', [
        '-sS',
        '--cacert',
        scratch.file('data/ca.pem'),
        '--resolve',
        `muster.example:${port}:127.0.0.1`,
        `https://${host}:${port}/`,
      ]);
    for (const host of ['127.0.0.1', 'localhost', 'muster.example'])
      expect(await get(host)).toContain('"authorized":false');
    await expect(
      capture('curl', ['-sS', '--cacert', scratch.file('data/boot-ca.pem'), `https://127.0.0.1:${port}/`]),
    ).rejects.toThrow();
  });

  it('authorises the client certificate of a machine, and its serial is the one on record', async () => {
    const checked = await authority.checkCsr(await opensslCsr(scratch));
    if (checked.kind === 'refused') throw new Error(checked.reason);
    const record = await authority.issue(checked, aMachineId('m-1'), {
      notBefore: clock.now() - 60_000,
      notAfter: clock.now() + 3_600_000,
    });
    const cert = await scratch.write('machine.pem', record.pem);
    const answer = await capture('curl', [
      ...['-sS', '--cacert', scratch.file('data/ca.pem'), '--cert', cert, '--key', scratch.file('machine.key')],
      `https://127.0.0.1:${port}/`,
    ]);
    expect(JSON.parse(answer)).toEqual({ authorized: true, serial: record.serial.toUpperCase() });
  });

  it.each([
    ['ec.pem', 'data/ca.pem'],
    ['rsa.pem', 'data/boot-ca.pem'],
  ])('%s passes strict verification as a server, names every address, and ends within 397 days', async (leaf, ca) => {
    const path = scratch.file(leaf);
    expect(
      await capture('openssl', ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', scratch.file(ca), path]),
    ).toContain(': OK');
    const text = await capture('openssl', ['x509', '-in', path, '-noout', '-text']);
    for (const name of ['DNS:localhost', 'IP Address:127.0.0.1', 'IP Address:0:0:0:0:0:0:0:1', 'IP Address:192.0.2.7'])
      expect(text).toContain(name);
    expect(text).toContain('IP Address:FD00:0:0:0:0:0:0:7');
    expect(text).toContain('DNS:muster.example');
    expect(text).toContain('TLS Web Server Authentication');
    const ended = ['x509', '-in', path, '-noout', '-checkend', String(397 * 86_400)];
    await expect(capture('openssl', ended)).rejects.toThrow();
  });
});
