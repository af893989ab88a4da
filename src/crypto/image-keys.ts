// Keys that sign images: the public ones that the settings trust, and a person's private one on their own machine. PEM files
// as `openssl ecparam -name prime256v1` and `cosign import-key-pair` know them; ECDSA on P-256 with SHA-256 alone.
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { AppError } from '../errors.ts';
import type { SigningKey } from '../images/trust/signature.ts';
import { requiredKeys, type TrustRequirements } from '../images/trust/trust-policy.ts';

const KEY_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * The public keys in these files (PEM, SubjectPublicKeyInfo), each named after its file: `keys/release.pub` is `release`. Throws
 * AppError 'invalid-settings' for a file that is no such key, for two keys of one name, and where a key is required that is not
 * among them.
 */
export async function loadTrustedKeys(
  settings: TrustRequirements & { readonly keys: readonly string[] },
): Promise<readonly SigningKey[]> {
  const keys = await Promise.all(settings.keys.map(loadTrustedKey));
  const names = keys.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new AppError('invalid-settings', `images.keys: two keys are called ${twice}.\nFix: rename one of the files.`);
  const channels = Object.keys(settings.channels);
  const required = [undefined, ...channels].flatMap((channel) => requiredKeys(settings, channel));
  const missing = required.find((name) => !names.includes(name));
  if (missing !== undefined)
    throw new AppError(
      'invalid-settings',
      `images: the key ${missing} is required, but images.keys has ${names.length === 0 ? 'none' : `only ${names.join(', ')}`}.\nFix: add the file ${missing}.pub to images.keys.`,
    );
  return keys;
}

/** Signs as cosign does: ECDSA, SHA-256, DER. */
export type ImageSigner = (payload: Uint8Array) => Uint8Array;

/** A private key (PEM, PKCS #8 or SEC 1, not encrypted) and the public one of the same pair. Throws AppError 'invalid-request'. */
export async function loadSigner(file: string): Promise<{ readonly sign: ImageSigner; readonly key: SigningKey }> {
  const text = await readKey(file, 'invalid-request');
  if (text.includes('BEGIN ENCRYPTED'))
    throw new AppError(
      'invalid-request',
      `${file}: is encrypted, which is not supported.\nFix: keep the pair without a pass phrase in a safe place, or sign with cosign itself; muster takes its signatures.`,
    );
  const key = parseKey(file, 'a private key', 'invalid-request', () => createPrivateKey(text));
  return { sign: (payload) => sign('sha256', payload, key), key: signingKey(nameOf(file), createPublicKey(key)) };
}

async function loadTrustedKey(file: string): Promise<SigningKey> {
  const name = nameOf(file);
  if (!KEY_NAME.test(name))
    throw new AppError(
      'invalid-settings',
      `images.keys: ${file}: the name of a key has letters, digits, ".", "_" and "-".`,
    );
  const text = await readKey(file, 'invalid-settings');
  // createPublicKey would take a private key too, and nobody should leave one here.
  if (text.includes('PRIVATE KEY'))
    throw new AppError(
      'invalid-settings',
      `images.keys: ${file} holds a private key.\nFix: keep it where images are signed, and put the public one here: openssl pkey -in ${file} -pubout`,
    );
  return signingKey(
    name,
    parseKey(file, 'a public key', 'invalid-settings', () => createPublicKey(text)),
  );
}

function signingKey(name: string, key: KeyObject): SigningKey {
  return {
    name,
    verifies(payload, signature) {
      try {
        return verify('sha256', payload, key, signature);
      } catch {
        // OpenSSL throws where the DER is broken; for us that is a signature that does not fit.
        return false;
      }
    },
  };
}

function nameOf(file: string): string {
  return basename(file).replace(/\.(?:pub|pem|key)$/, '');
}

async function readKey(file: string, code: 'invalid-settings' | 'invalid-request'): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new AppError(code, `The key ${file} cannot be read: ${reason}.`, { cause });
  }
}

function parseKey(
  file: string,
  what: string,
  code: 'invalid-settings' | 'invalid-request',
  parse: () => KeyObject,
): KeyObject {
  let key: KeyObject;
  try {
    key = parse();
  } catch (cause) {
    throw new AppError(code, `${file}: does not hold ${what} in PEM.`, { cause });
  }
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key;
  throw new AppError(
    code,
    `${file}: is not a key on the curve P-256.\nFix: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`,
  );
}
