import { chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openKeyRing } from '../../../src/crypto/key-ring.ts';
import { NOON } from '../../support/domain-builders.ts';
import { capture, Scratch } from '../../support/openssl.ts';

const clock = { now: () => NOON };
const SECRETS = ['admin-token', 'boot-ca.key', 'ca.key', 'token-signing.key'];
const ALL = ['admin-token', 'boot-ca.key', 'boot-ca.pem', 'ca.key', 'ca.pem', 'token-signing.key'];

describe('openKeyRing', () => {
  let scratch: Scratch;
  let data: string;
  beforeEach(async () => {
    scratch = await Scratch.open();
    data = scratch.file('data');
  });
  afterEach(async () => {
    await scratch[Symbol.asyncDispose]();
  });

  const contents = (): Promise<string[]> => Promise.all(ALL.map((name) => readFile(`${data}/${name}`, 'utf8')));

  it('makes everything in an empty folder, secrets for their owner alone, and leaves nothing else behind', async () => {
    await openKeyRing(data, clock);
    expect((await readdir(data)).sort()).toEqual(ALL);
    expect((await stat(data)).mode & 0o777).toBe(0o700);
    for (const name of SECRETS) expect((await stat(`${data}/${name}`)).mode & 0o777, name).toBe(0o600);
    for (const name of ['ca.pem', 'boot-ca.pem'])
      expect((await stat(`${data}/${name}`)).mode & 0o777, name).toBe(0o644);
  });

  it('opens what is there without changing a byte', async () => {
    const first = await openKeyRing(data, clock);
    const before = await contents();
    const second = await openKeyRing(data, clock);
    expect(await contents()).toEqual(before);
    expect(second.caSha256).toBe(first.caSha256);
  });

  it('pins the SHA-256 of the bytes of ca.pem, as sha256sum says it', async () => {
    const ring = await openKeyRing(data, clock);
    expect(await capture('sha256sum', [`${data}/ca.pem`])).toContain(ring.caSha256);
    expect(ring.machineCa.certificatePem).toBe(await readFile(`${data}/ca.pem`, 'utf8'));
  });

  it('makes self-signed CAs that openssl verifies, ten years long, named after their keys', async () => {
    await openKeyRing(data, clock);
    for (const [file, name] of [
      ['ca.pem', 'Muster CA'],
      ['boot-ca.pem', 'Muster boot CA'],
    ] as const) {
      const path = `${data}/${file}`;
      expect(await capture('openssl', ['verify', '-x509_strict', '-CAfile', path, path])).toContain(': OK');
      const text = await capture('openssl', ['x509', '-in', path, '-noout', '-text', '-nameopt', 'RFC2253']);
      expect(text).toMatch(new RegExp(`Subject: CN=${name} [0-9a-f]{8}\n`));
      expect(text).toContain('CA:TRUE, pathlen:0');
      expect(text).toContain('Certificate Sign, CRL Sign');
      expect(text).toMatch(/Not Before: Dec 31 12:00:00 2025 GMT\s+Not After : Dec 31 12:00:00 2035 GMT/);
    }
  });

  it.each(ALL.filter((name) => !name.endsWith('.key') || name === 'token-signing.key'))(
    'completes a set that lacks %s and keeps the rest',
    async (missing) => {
      await openKeyRing(data, clock);
      const before = await contents();
      await rm(`${data}/${missing}`);
      await openKeyRing(data, clock);
      const after = await contents();
      expect(ALL.filter((_, index) => before[index] !== after[index])).toEqual([missing]);
    },
  );

  it('makes a lost ca.pem from the same key again, so that what was issued before still verifies', async () => {
    await openKeyRing(data, clock);
    const old = await readFile(`${data}/ca.pem`, 'utf8');
    await rm(`${data}/ca.pem`);
    await openKeyRing(data, clock);
    await scratch.write('old.pem', old);
    const subject = (path: string): Promise<string> =>
      capture('openssl', ['x509', '-in', path, '-noout', '-subject', '-pubkey']);
    expect(await subject(`${data}/ca.pem`)).toBe(await subject(scratch.file('old.pem')));
  });

  it.each(['ca', 'boot-ca'])(
    'refuses a %s.pem without its key: a new key would lock out every machine',
    async (name) => {
      await openKeyRing(data, clock);
      await rm(`${data}/${name}.key`);
      await expect(openKeyRing(data, clock)).rejects.toMatchObject({
        code: 'storage-failure',
        message: expect.stringContaining('restore the key from a backup') as string,
      });
      expect(await readdir(data)).not.toContain(`${name}.key`);
    },
  );

  it('refuses a certificate of another key, and one that has ended', async () => {
    await openKeyRing(data, clock);
    await expect(openKeyRing(data, { now: () => Date.UTC(2036, 0, 1) })).rejects.toMatchObject({
      code: 'storage-failure',
    });
    await openKeyRing(scratch.file('other'), clock);
    await writeFile(`${data}/ca.pem`, await scratch.read('other/ca.pem'));
    await expect(openKeyRing(data, clock)).rejects.toThrow(/is not the CA certificate/);
  });

  it('refuses a secret that others may read, and says how to mend it', async () => {
    await openKeyRing(data, clock);
    await chmod(`${data}/ca.key`, 0o640);
    await expect(openKeyRing(data, clock)).rejects.toMatchObject({
      code: 'permission-denied',
      message: expect.stringContaining('chmod 600') as string,
    });
  });

  it.each([
    ['ca.key', 'nonsense', /does not hold a private key/],
    ['admin-token', 'short', /must hold 32 or more/],
  ])('refuses a broken %s instead of replacing it', async (name, text, message) => {
    await openKeyRing(data, clock);
    await writeFile(`${data}/${name}`, text);
    await expect(openKeyRing(data, clock)).rejects.toThrow(message);
    expect(await readFile(`${data}/${name}`, 'utf8')).toBe(text);
  });

  it('refuses a key of the wrong kind', async () => {
    await openKeyRing(data, clock);
    await writeFile(`${data}/token-signing.key`, await readFile(`${data}/ca.key`, 'utf8'));
    await expect(openKeyRing(data, clock)).rejects.toThrow(/does not hold a key of kind Ed25519/);
  });

  it('gives two processes that start at once the same keys', async () => {
    const rings = await Promise.all([openKeyRing(data, clock), openKeyRing(data, clock)]);
    expect(rings[0].machineCa.certificatePem).toBe(rings[1].machineCa.certificatePem);
    expect(rings[0].tokenSigningKey.equals(rings[1].tokenSigningKey)).toBe(true);
    expect((await readdir(data)).sort()).toEqual(ALL);
  });

  it('knows its admin token by the file, and nothing near it', async () => {
    const { adminToken } = await openKeyRing(data, clock);
    const token = (await readFile(`${data}/admin-token`, 'utf8')).trim();
    expect(token).toMatch(/^[\w-]{43}$/);
    expect(adminToken.matches(token)).toBe(true);
    for (const wrong of ['', token.slice(1), `${token}x`, token.toUpperCase()])
      expect(adminToken.matches(wrong)).toBe(false);
  });
});
