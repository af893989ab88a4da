// The server's own signature under the boot manifests that it hands to machines (boot/boot-seal.ts). The key is made at the first
// start and stays in the data folder.
import { createPrivateKey, createPublicKey, generateKeyPair, sign } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../errors.ts';
import { createKeyFile, readKeyFile, SECRET_MODE } from './key-files.ts';

const generate = promisify(generateKeyPair);

export interface SealKey {
  /** ECDSA with SHA-256, DER: `openssl dgst -sha256 -verify` takes it. */
  sign(manifest: Uint8Array): Uint8Array;
  /** PEM, SubjectPublicKeyInfo. */
  readonly publicPem: string;
}

/** Opens `boot-signing.key` in the data folder, and makes it where it is missing. Throws AppError. */
export async function openSealKey(dataDirectory: string): Promise<SealKey> {
  const path = join(dataDirectory, 'boot-signing.key');
  const text = (await readKeyFile(path, SECRET_MODE)) ?? (await createSealKey(path));
  const key = createPrivateKey(text);
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new AppError('storage-failure', `${path} does not hold a key of kind EC P-256`);
  return {
    sign: (manifest) => sign('sha256', manifest, key),
    publicPem: createPublicKey(key).export({ format: 'pem', type: 'spki' }).toString(),
  };
}

async function createSealKey(path: string): Promise<string> {
  const { privateKey } = await generate('ec', { namedCurve: 'P-256' });
  return createKeyFile(path, privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), SECRET_MODE);
}
