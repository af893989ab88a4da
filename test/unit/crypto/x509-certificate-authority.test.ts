import { createHash, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openKeyRing } from '../../../src/crypto/key-ring.ts';
import { X509CertificateAuthority } from '../../../src/crypto/x509-certificate-authority.ts';
import type { CheckedCsr } from '../../../src/enrollment/certificate-authority.ts';
import { aMachineId, NOON } from '../../support/domain-builders.ts';
import { capture, opensslCsr, Scratch } from '../../support/openssl.ts';

const HOUR = 3_600_000;

describe('X509CertificateAuthority', () => {
  let scratch: Scratch;
  let authority: X509CertificateAuthority;
  let csrPem: string;

  beforeAll(async () => {
    scratch = await Scratch.open();
    authority = new X509CertificateAuthority((await openKeyRing(scratch.file('data'), { now: () => NOON })).machineCa);
    csrPem = await opensslCsr(scratch);
  });
  afterAll(async () => {
    await scratch[Symbol.asyncDispose]();
  });

  const accepted = async (pem: string): Promise<CheckedCsr> => {
    const checked = await authority.checkCsr(pem);
    if (checked.kind === 'refused') throw new Error(checked.reason);
    return checked;
  };
  const issued = async (): Promise<{
    record: Awaited<ReturnType<typeof authority.issue>>;
    path: string;
    text: string;
  }> => {
    const record = await authority.issue(await accepted(csrPem), aMachineId('m-0011223344556677'), {
      notBefore: NOON + 999,
      notAfter: NOON + 24 * HOUR + 1,
    });
    const path = await scratch.write('issued.pem', record.pem);
    return {
      record,
      path,
      text: await capture('openssl', ['x509', '-in', path, '-noout', '-text', '-nameopt', 'RFC2253']),
    };
  };

  it('takes a P-256 request made by openssl and fingerprints its key as openssl does', async () => {
    const der = scratch.file('key.der');
    await capture('openssl', ['pkey', '-in', scratch.file('machine.key'), '-pubout', '-outform', 'DER', '-out', der]);
    const sum = await capture('openssl', ['dgst', '-sha256', '-r', der]);
    expect((await accepted(csrPem)).keyFingerprint).toBe(sum.slice(0, 64));
  });

  it.each([
    ['RSA', ['rsa:2048']],
    ['P-384', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['Ed25519', ['ed25519']],
    ['secp256k1', ['ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1']],
    [
      'explicitly parametrised P-256',
      ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt', 'ec_param_enc:explicit'],
    ],
  ])('refuses a request with a key of kind %s', async (kind, key) => {
    const pem = await opensslCsr(scratch, key, kind.replaceAll(' ', '-'));
    expect(await authority.checkCsr(pem)).toMatchObject({ kind: 'refused' });
  });

  it('refuses a request that another key signed (RFC 2986 §4.2: proof of possession)', async () => {
    const der = Buffer.from(csrPem.replaceAll(/-----.*-----|\s/g, ''), 'base64');
    der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1);
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    expect(await authority.checkCsr(pem)).toEqual({
      kind: 'refused',
      reason: 'the request was not signed by its own key',
    });
  });

  it.each([
    ['nothing', ''],
    ['a certificate', '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n'],
    ['broken ASN.1', '-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n'],
    [
      'more than 8 KiB',
      `-----BEGIN CERTIFICATE REQUEST-----\n${'A'.repeat(9000)}\n-----END CERTIFICATE REQUEST-----\n`,
    ],
  ])('refuses %s', async (_, pem) => {
    expect(await authority.checkCsr(pem)).toMatchObject({ kind: 'refused' });
  });

  it('refuses two requests in one text', async () => {
    expect(await authority.checkCsr(csrPem + csrPem)).toMatchObject({ kind: 'refused' });
  });

  it('issues a client certificate that openssl verifies, with our names and none of the request’s', async () => {
    const { path, text } = await issued();
    const at = ['-attime', String(NOON / 1000 + HOUR / 1000)];
    const verify = [
      'verify',
      '-x509_strict',
      '-purpose',
      'sslclient',
      ...at,
      '-CAfile',
      scratch.file('data/ca.pem'),
      path,
    ];
    expect(await capture('openssl', verify)).toContain(': OK');
    expect(text).toMatch(/Subject: CN=m-0011223344556677\n/);
    expect(text).not.toContain('whatever it likes');
    expect(text).toContain('URI:spiffe://muster/machine/m-0011223344556677\n');
    expect(text).toMatch(/Extended Key Usage: \n\s+TLS Web Client Authentication\n/);
    expect(text).toMatch(/Key Usage: critical\n\s+Digital Signature\n/);
    expect(text).toMatch(/Basic Constraints: critical\n\s+CA:FALSE/);
  });

  it('records the serial as node:tls shows it, and the times that the certificate says', async () => {
    const { record } = await issued();
    const certificate = new X509Certificate(record.pem);
    expect(record.serial).toMatch(/^[4-7][0-9a-f]{31}$/);
    expect(certificate.serialNumber.toLowerCase()).toBe(record.serial);
    expect(Date.parse(certificate.validFrom)).toBe(record.notBefore);
    expect(Date.parse(certificate.validTo)).toBe(record.notAfter);
    const spki = certificate.publicKey.export({ format: 'der', type: 'spki' });
    expect(createHash('sha256').update(spki).digest('hex')).toBe(record.keyFingerprint);
  });

  it('gives each certificate a serial of its own', async () => {
    const serials = await Promise.all(Array.from({ length: 20 }, async () => (await issued()).record.serial));
    expect(new Set(serials).size).toBe(20);
  });
});
