// A key pair for one run, so that a person can log in to a machine that the lab left running. Written in OpenSSH's own
// format (PROTOCOL.key), since its client reads no Ed25519 key from PKCS #8.
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';

export interface SshKey {
  /** A line for authorized_keys. */
  readonly publicKey: string;
  readonly privateKey: string;
  /** As `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
}

const KIND = 'ssh-ed25519';
const BLOCK_BYTES = 8;

export function createSshKey(comment: string): SshKey {
  const { x, d } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const [publicBytes, secretBytes] = [Buffer.from(x ?? '', 'base64url'), Buffer.from(d ?? '', 'base64url')];
  const blob = Buffer.concat([field(KIND), field(publicBytes)]);
  const check = randomBytes(4);
  const secret = pad(
    Buffer.concat([check, check, blob, field(Buffer.concat([secretBytes, publicBytes])), field(comment)]),
  );
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    ...['none', 'none', ''].map(field),
    Buffer.of(0, 0, 0, 1),
    field(blob),
    field(secret),
  ]);
  const armour = (file.toString('base64').match(/.{1,70}/g) ?? []).join('\n');
  return {
    publicKey: `${KIND} ${blob.toString('base64')} ${comment}`,
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${armour}\n-----END OPENSSH PRIVATE KEY-----\n`,
    fingerprint: `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`,
  };
}

/** A string of RFC 4251 §5: its length in four bytes, then the bytes. */
function field(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** Filled up with the bytes 1, 2, 3 … to a whole number of blocks. */
function pad(bytes: Buffer): Buffer {
  const missing = (BLOCK_BYTES - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES;
  return Buffer.concat([bytes, Buffer.from(Array.from({ length: missing }, (_, index) => index + 1))]);
}
