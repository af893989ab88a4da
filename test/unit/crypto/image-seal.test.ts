import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createCmsSigner } from '../../../src/crypto/image-cms.ts';
import { openSealKey } from '../../../src/crypto/image-seal.ts';
import { openKeyRing } from '../../../src/crypto/key-ring.ts';
import { capture, Scratch } from '../../support/openssl.ts';

const clock = { now: () => Date.now() };
const KERNEL = Buffer.alloc(3_000_000, 'kernel');

let scratch: Scratch;
beforeEach(async () => {
  scratch = await Scratch.open();
});
afterEach(() => scratch[Symbol.asyncDispose]());

describe('openSealKey', () => {
  it('makes a P-256 key that only its owner may read, keeps it, and signs so that openssl agrees', async () => {
    const key = await openSealKey(scratch.path);
    expect((await stat(scratch.file('boot-signing.key'))).mode & 0o777).toBe(0o600);
    expect((await openSealKey(scratch.path)).publicPem).toBe(key.publicPem);
    const manifest = Buffer.from('{"schema":"muster.boot/v1"}\n');
    const files = [
      await scratch.write('boot.pub', key.publicPem),
      ...['-signature', await scratch.write('boot.json.sig', key.sign(manifest))],
      await scratch.write('boot.json', manifest),
    ];
    expect(await capture('openssl', ['dgst', '-sha256', '-verify', ...files])).toContain('Verified OK');
  });

  it('refuses a key of another kind', async () => {
    await capture('openssl', ['genpkey', '-algorithm', 'ED25519', '-out', scratch.file('boot-signing.key')]);
    await expect(openSealKey(scratch.path)).rejects.toThrow('does not hold a key of kind EC P-256');
  });
});

describe('createCmsSigner', () => {
  it('makes a detached signature that openssl verifies up to the boot CA, and only for these bytes', async () => {
    const { bootCa } = await openKeyRing(scratch.path, clock);
    const signer = await createCmsSigner(bootCa, clock.now());
    await scratch.write(
      'vmlinuz.sig',
      await signer.sign(Readable.from([KERNEL.subarray(0, 1000), KERNEL.subarray(1000)])),
    );
    await scratch.write('vmlinuz', KERNEL);
    await scratch.write('altered', Buffer.concat([KERNEL, Buffer.from('x')]));
    const verify = (content: string) =>
      capture('openssl', [
        ...['cms', '-verify', '-binary', '-inform', 'DER', '-in', scratch.file('vmlinuz.sig')],
        ...['-content', scratch.file(content), '-CAfile', scratch.file('boot-ca.pem')],
        ...['-purpose', 'any', '-out', '/dev/null'],
      ]);
    expect(await verify('vmlinuz')).toMatch(/CMS Verification successful/i);
    await expect(verify('altered')).rejects.toThrow(/verification failure/i);
  });

  it('has no signed attributes and a certificate for code signing alone: iPXE takes no others (ipxe.org/cmd/imgverify)', async () => {
    const { bootCa } = await openKeyRing(scratch.path, clock);
    const signature = await (await createCmsSigner(bootCa, clock.now())).sign(Readable.from([KERNEL]));
    await scratch.write('vmlinuz.sig', signature);
    const print = ['cms', '-cmsout', '-print', '-inform', 'DER', '-in', scratch.file('vmlinuz.sig')];
    const said = await capture('openssl', print);
    expect(said).toMatch(/signedAttrs:\s+<ABSENT>/);
    expect(said).toMatch(/eContent: <ABSENT>/);
    const chain = ['pkcs7', '-inform', 'DER', '-in', scratch.file('vmlinuz.sig'), '-print_certs', '-text', '-noout'];
    expect(await capture('openssl', chain)).toMatch(/Extended Key Usage:\s+Code Signing\n/);
  });
});
