// The whole way with real keys: openssl makes the request, the service enrolls, openssl verifies what came back.
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openKeyRing } from '../../src/crypto/key-ring.ts';
import { JoseTokenSigner } from '../../src/crypto/jose-token-signer.ts';
import { X509CertificateAuthority } from '../../src/crypto/x509-certificate-authority.ts';
import { EnrollmentWorld } from '../support/enrollment-world.ts';
import { capture, opensslCsr, Scratch } from '../support/openssl.ts';

describe('enrolling with real certificates', () => {
  let scratch: Scratch;
  let world: EnrollmentWorld;
  beforeAll(async () => {
    scratch = await Scratch.open();
    const clock = { now: () => Date.now() };
    const ring = await openKeyRing(scratch.file('data'), clock);
    world = new EnrollmentWorld({
      authority: new X509CertificateAuthority(ring.machineCa),
      signer: new JoseTokenSigner(ring.tokenSigningKey),
    });
    world.now = clock.now();
  });
  afterAll(async () => {
    await scratch[Symbol.asyncDispose]();
  });

  it('gives a P-256 request of openssl a certificate for its key that the CA verifies', async () => {
    const { token } = await world.token();
    const outcome = await world.enroll(token, { csrPem: await opensslCsr(scratch) });
    if (outcome.kind === 'refused') throw new Error(outcome.message);
    const path = await scratch.write('machine.pem', outcome.certificate.pem);
    const verify = ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', scratch.file('data/ca.pem'), path];
    expect(await capture('openssl', verify)).toContain(': OK');
    const publicKey = (args: string[]): Promise<string> => capture('openssl', args);
    expect(await publicKey(['x509', '-in', path, '-noout', '-pubkey'])).toBe(
      await publicKey(['pkey', '-in', scratch.file('machine.key'), '-pubout']),
    );
    expect(await world.service.identify(outcome.certificate.serial)).toMatchObject({
      kind: 'machine',
      machine: { id: outcome.machineId },
    });
  });

  it('refuses an RSA request and burns nothing', async () => {
    const { token, record } = await world.token();
    const csrPem = await opensslCsr(scratch, ['rsa:2048'], 'rsa');
    expect(await world.enroll(token, { csrPem })).toMatchObject({ kind: 'refused', code: 'csr-invalid' });
    expect((await world.service.findToken(record.id))?.uses).toBe(0);
  });

  it('refuses the token of a server with other keys', async () => {
    const other = new JoseTokenSigner(generateKeyPairSync('ed25519').privateKey);
    const { token } = await new EnrollmentWorld({ signer: other }).token();
    expect(await world.enroll(token)).toMatchObject({ kind: 'refused', code: 'token-forged' });
  });
});
