import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadSigner, loadTrustedKeys } from '../../../../src/crypto/image-keys.ts';
import { renderSignaturePayload, verifySignature, type SigningKey } from '../../../../src/images/trust/signature.ts';
import { capture, Scratch } from '../../../support/openssl.ts';
import { cosignPayload, digestOf, opensslKeyPair, opensslSign } from '../../../support/signature-builders.ts';

const IMAGE = digestOf('image');
const EXPECTED = { repository: 'fleet/os', digest: IMAGE };

let scratch: Scratch;
let release: { key: string; pub: string };
let keys: readonly SigningKey[];

beforeAll(async () => {
  scratch = await Scratch.open();
  release = await opensslKeyPair(scratch, 'release');
  const qa = await opensslKeyPair(scratch, 'qa');
  keys = await trusted([qa.pub, release.pub]);
});
afterAll(() => scratch[Symbol.asyncDispose]());

describe('verifySignature', () => {
  it.each([
    'registry.example.org:5000/fleet/os',
    'localhost/fleet/os',
    'fleet/os',
    'ghcr.io/fleet/os:v1',
    `ghcr.io/fleet/os@${IMAGE}`,
  ])(
    'takes what openssl signed for %s and names the key: the registry may differ, images travel',
    async (reference) => {
      const payload = cosignPayload(reference, IMAGE);
      const signature = await opensslSign(scratch, release.key, payload);
      expect(verifySignature({ payload, signature }, keys, EXPECTED)).toEqual({ kind: 'valid', key: 'release' });
    },
  );

  it('says that another key made it', async () => {
    const other = await opensslKeyPair(scratch, 'other');
    const payload = cosignPayload('fleet/os', IMAGE);
    const signature = await opensslSign(scratch, other.key, payload);
    expect(verdict(payload, signature)).toBe('it was made with another key');
  });

  it('refuses a signature of P-384, of other bytes, and of none', async () => {
    const payload = cosignPayload('fleet/os', IMAGE);
    const p384 = await opensslKeyPair(scratch, 'p384', 'P-384');
    expect(verdict(payload, await opensslSign(scratch, p384.key, payload))).toBe('it was made with another key');
    const signature = await opensslSign(scratch, release.key, payload);
    const flipped = Buffer.from(payload);
    flipped[10]! ^= 1;
    expect(verdict(flipped, signature)).toBe('it was made with another key');
    expect(verifySignature({ payload, signature }, [], EXPECTED)).toEqual({
      kind: 'invalid',
      reason: 'no key is known',
    });
  });

  it.each([
    [
      'another digest',
      cosignPayload('fleet/os', digestOf('other')),
      `release signed another digest (${digestOf('other')})`,
    ],
    [
      'another repository',
      cosignPayload('ghcr.io/other/os', IMAGE),
      'release signed it for ghcr.io/other/os, not for fleet/os',
    ],
    [
      'a longer repository',
      cosignPayload('acme/fleet/os', IMAGE),
      'release signed it for acme/fleet/os, not for fleet/os',
    ],
    ['no image at all', cosignPayload('fleet/os', IMAGE, 'atomic'), 'release signed something that is no image'],
    ['no JSON', Buffer.from('{"critical"'), 'the payload that release signed is malformed'],
    ['JSON of another form', Buffer.from('{"critical":{}}'), 'the payload that release signed is malformed'],
    ['text that is not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'the payload that release signed is malformed'],
  ])('refuses a signed payload that names %s', async (_case, payload, reason) => {
    expect(verdict(payload, await opensslSign(scratch, release.key, payload))).toBe(reason);
  });

  it.each(['', 'not base64!', 'AAA', '!'.repeat(100), 'A'.repeat(4000)])('refuses %j as no signature', (signature) => {
    expect(verdict(cosignPayload('fleet/os', IMAGE), signature)).toBe('the signature is not base64');
  });

  it.each(['AAAA', 'MEUCIQ==', Buffer.alloc(72).toString('base64')])(
    'holds broken DER for another key: %s',
    (signature) => {
      expect(verdict(cosignPayload('fleet/os', IMAGE), signature)).toBe('it was made with another key');
    },
  );

  it('refuses a payload beyond the limit even where the signature is right', async () => {
    const payload = Buffer.concat([cosignPayload('fleet/os', IMAGE), Buffer.alloc(70_000, ' ')]);
    expect(verdict(payload, await opensslSign(scratch, release.key, payload))).toBe('the payload is too large');
  });
});

describe('our own signature', () => {
  it('is one to openssl and to verifySignature, over the payload that cosign writes', async () => {
    const { sign, key } = await loadSigner(release.key);
    const payload = renderSignaturePayload({ reference: 'muster.example.org:8443/fleet/os', digest: IMAGE });
    expect(Buffer.from(payload).toString()).toBe(
      `{"critical":{"identity":{"docker-reference":"muster.example.org:8443/fleet/os"},"image":{"docker-manifest-digest":"${IMAGE}"},"type":"cosign container image signature"},"optional":null}`,
    );
    const signature = sign(payload);
    const files = [await scratch.write('ours.sig', signature), await scratch.write('ours.json', payload)] as const;
    const said = await capture('openssl', ['dgst', '-sha256', '-verify', release.pub, '-signature', ...files]);
    expect(said).toContain('Verified OK');
    const stored = { payload, signature: Buffer.from(signature).toString('base64') };
    expect(verifySignature(stored, [key], EXPECTED)).toEqual({ kind: 'valid', key: 'release' });
  });
});

describe('loadTrustedKeys', () => {
  it('refuses a private key, another curve, RSA, no key, no file and two of one name, and says what to do', async () => {
    const p384 = await opensslKeyPair(scratch, 'p384', 'P-384');
    await expect(trusted([release.key])).rejects.toThrow(/holds a private key.*\nFix: .*-pubout/s);
    await expect(trusted([p384.pub])).rejects.toThrow('is not a key on the curve P-256');
    await expect(trusted([await scratch.write('none.pub', 'hello')])).rejects.toThrow('does not hold a public key');
    await expect(trusted([scratch.file('missing.pub')])).rejects.toThrow('cannot be read: ENOENT');
    await scratch.write('release.pem', await readFile(release.pub));
    await expect(trusted([release.pub, scratch.file('release.pem')])).rejects.toThrow('two keys are called release');
  });
});

describe('the keys that the settings require', () => {
  it('must be among images.keys, those of channels too', async () => {
    const keys = [release.pub];
    const channels = { stable: { require: ['release', 'qa'] } };
    await expect(loadTrustedKeys({ keys, require: [], channels })).rejects.toThrow(
      'images: the key qa is required, but images.keys has only release.\nFix: add the file qa.pub to images.keys.',
    );
    await expect(loadTrustedKeys({ keys: [], require: ['release'], channels: {} })).rejects.toThrow('has none');
    expect(await loadTrustedKeys({ keys, require: ['release'], channels: {} })).toHaveLength(1);
  });
});

describe('loadSigner', () => {
  it('reads SEC 1 as well, and says that an encrypted key is not supported', async () => {
    await capture('openssl', ['ec', '-in', release.key, '-out', scratch.file('sec1.key')]);
    expect((await loadSigner(scratch.file('sec1.key'))).key.name).toBe('sec1');
    await scratch.write(
      'cosign.key',
      '-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\neyJ9\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n',
    );
    await expect(loadSigner(scratch.file('cosign.key'))).rejects.toThrow('is encrypted, which is not supported');
  });
});

function verdict(payload: Uint8Array, signature: string): string {
  const found = verifySignature({ payload, signature }, keys, EXPECTED);
  return found.kind === 'valid' ? `valid by ${found.key}` : found.reason;
}

function trusted(files: readonly string[]): Promise<readonly SigningKey[]> {
  return loadTrustedKeys({ keys: files, require: [], channels: {} });
}
