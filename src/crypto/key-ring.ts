// All long-lived secrets of a server, in its data folder. What is missing is made; what is there is never replaced.
//
// Each secret is a file of its own and each certificate follows from its key, so a set left half made by a crash is completed
// at the next start. A certificate without its key cannot be completed and is an error: making another key would turn away
// every machine that was enrolled before.
import {
  createHash,
  createPrivateKey,
  generateKeyPair,
  X509Certificate,
  type KeyObject,
  type KeyPairKeyObjectResult,
} from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { AdminToken, createAdminToken } from './admin-token.ts';
import { createEcAuthorityCertificate } from './ec-certificates.ts';
import { createKeyFile, createSecretDirectory, PUBLIC_MODE, readKeyFile, SECRET_MODE } from './key-files.ts';
import { createRsaAuthorityCertificate } from './rsa-certificates.ts';
import type { SigningAuthority } from './signing-authority.ts';

export interface KeyRing {
  /** EC P-256: machine identities and the server certificate that agents see. */
  readonly machineCa: SigningAuthority;
  /** SHA-256 of the bytes of ca.pem, lower-case hex: what machines pin. */
  readonly caSha256: string;
  /** RSA-2048: the server certificate that firmware sees. */
  readonly bootCa: SigningAuthority;
  /** Ed25519: enrollment tokens. */
  readonly tokenSigningKey: KeyObject;
  readonly adminToken: AdminToken;
}

/** generateKeyPair runs on a thread of the pool: the event loop goes on. */
const generate = promisify(generateKeyPair);

interface KeyKind {
  readonly label: string;
  readonly generate: () => Promise<KeyPairKeyObjectResult>;
  readonly fits: (key: KeyObject) => boolean;
}

const EC: KeyKind = {
  label: 'EC P-256',
  generate: () => generate('ec', { namedCurve: 'P-256' }),
  fits: (key) => key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1',
};
const RSA: KeyKind = {
  label: 'RSA',
  generate: () => generate('rsa', { modulusLength: 2048 }),
  fits: (key) => key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048,
};
const ED25519: KeyKind = {
  label: 'Ed25519',
  generate: () => generate('ed25519'),
  fits: (key) => key.asymmetricKeyType === 'ed25519',
};

/** Opens the secrets of a data folder, making what is missing. Throws AppError permission-denied or storage-failure. */
export async function openKeyRing(dataDirectory: string, clock: Clock): Promise<KeyRing> {
  await createSecretDirectory(dataDirectory);
  const file = (name: string): string => join(dataDirectory, name);
  const [machineCa, bootCa, tokenSigningKey, adminToken] = await Promise.all([
    openAuthority(file('ca.key'), file('ca.pem'), EC, clock, createEcAuthorityCertificate),
    openAuthority(file('boot-ca.key'), file('boot-ca.pem'), RSA, clock, createRsaAuthorityCertificate),
    openKey(file('token-signing.key'), ED25519),
    openAdminToken(file('admin-token')),
  ]);
  const caSha256 = createHash('sha256').update(machineCa.certificatePem).digest('hex');
  return { machineCa, caSha256, bootCa, tokenSigningKey, adminToken };
}

async function openAuthority(
  keyPath: string,
  certificatePath: string,
  kind: KeyKind,
  clock: Clock,
  certify: (key: KeyObject, now: number) => Promise<string> | string,
): Promise<SigningAuthority> {
  const found = await readKeyFile(certificatePath, PUBLIC_MODE);
  if (found !== undefined && (await readKeyFile(keyPath, SECRET_MODE)) === undefined)
    throw new AppError(
      'storage-failure',
      `${certificatePath} is there without ${keyPath}: restore the key from a backup, or remove the certificate to begin with a new CA (every machine must then enroll again)`,
    );
  const key = await openKey(keyPath, kind);
  const certificatePem = found ?? (await createKeyFile(certificatePath, await certify(key, clock.now()), PUBLIC_MODE));
  const certificate = parse(certificatePath, 'a certificate', () => new X509Certificate(certificatePem));
  if (!certificate.ca || !certificate.checkPrivateKey(key))
    throw new AppError('storage-failure', `${certificatePath} is not the CA certificate of ${keyPath}`);
  if (Date.parse(certificate.validTo) <= clock.now())
    throw new AppError(
      'storage-failure',
      `${certificatePath} ended on ${certificate.validTo}: remove it, and it is made anew from its key at the next start`,
    );
  return { key, certificatePem };
}

async function openKey(path: string, kind: KeyKind): Promise<KeyObject> {
  const text = (await readKeyFile(path, SECRET_MODE)) ?? (await createKey(path, kind));
  const key = parse(path, 'a private key', () => createPrivateKey(text));
  if (!kind.fits(key)) throw new AppError('storage-failure', `${path} does not hold a key of kind ${kind.label}`);
  return key;
}

async function createKey(path: string, kind: KeyKind): Promise<string> {
  const { privateKey } = await kind.generate();
  return createKeyFile(path, privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), SECRET_MODE);
}

async function openAdminToken(path: string): Promise<AdminToken> {
  const text =
    (await readKeyFile(path, SECRET_MODE)) ?? (await createKeyFile(path, `${createAdminToken()}\n`, SECRET_MODE));
  const token = text.trim();
  if (!/^[\w-]{32,}$/.test(token))
    throw new AppError('storage-failure', `${path} must hold 32 or more letters, digits, "-" or "_" on one line`);
  return new AdminToken(token);
}

function parse<T>(path: string, what: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw new AppError('storage-failure', `${path} does not hold ${what} in PEM`, { cause });
  }
}
