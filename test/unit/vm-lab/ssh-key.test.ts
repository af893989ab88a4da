import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createSshKey } from '../../../vm-lab/ssh-key.ts';

describe('createSshKey', () => {
  const key = createSshKey('lab-test');
  const blob = Buffer.from(key.publicKey.split(' ')[1] ?? '', 'base64');

  it('writes the public key as RFC 8709 §4 says: the name of the kind, then 32 bytes', () => {
    expect(key.publicKey).toMatch(/^ssh-ed25519 \S+ lab-test$/);
    expect(blob.subarray(0, 15).toString('latin1')).toBe('\0\0\0\x0bssh-ed25519');
    expect(blob.readUInt32BE(15)).toBe(32);
    expect(blob).toHaveLength(51);
  });

  it('writes a private key that holds the same public key', () => {
    const file = Buffer.from(key.privateKey.split('\n').slice(1, -2).join(''), 'base64');
    expect(file.subarray(0, 15).toString('latin1')).toBe('openssh-key-v1\0');
    expect(file.indexOf(blob)).toBeGreaterThan(0);
  });

  it('tells the fingerprint as ssh-keygen -l does', () => {
    const digest = createHash('sha256').update(blob).digest('base64');
    expect(`${key.fingerprint}=`).toBe(`SHA256:${digest}`);
  });
});
