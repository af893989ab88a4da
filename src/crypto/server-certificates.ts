// The server's own certificates: one EC and one RSA, made at each start for the addresses it has then, never stored.
import { generateKeyPair, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { DEFAULT_CIPHERS } from 'node:tls';
import { promisify } from 'node:util';
import { issueEcCertificate } from './ec-certificates.ts';
import type { KeyRing } from './key-ring.ts';
import { issueRsaCertificate } from './rsa-certificates.ts';
import { validityOfDays, type LeafRequest, type SubjectName } from './signing-authority.ts';

/** What browsers take at most from a public CA; some hold private ones to it too. */
const SERVER_DAYS = 397;
const ALWAYS = ['localhost', '127.0.0.1', '::1'];

/**
 * In TLS 1.2 OpenSSL picks the cipher suite first and the certificate by it. Node's own list begins with ECDHE-RSA, so that
 * a client which knows both would get the RSA certificate, which the pinned ca.pem does not verify. TLS 1.3 picks by the
 * client's signature algorithms and needs nothing.
 */
const EC_CIPHERS_FIRST = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  DEFAULT_CIPHERS,
].join(':');

/** Options for node:https, PEM; the EC certificate is the first of `cert`, the RSA one the second. */
export interface ServerTls {
  readonly key: string[];
  readonly cert: string[];
  /** Client certificates are verified against the machine CA. */
  readonly ca: string;
  readonly ciphers: string;
  readonly honorCipherOrder: true;
  readonly minVersion: 'TLSv1.2';
}

const generate = promisify(generateKeyPair);

/** Certificates for these IP addresses and DNS names, and for localhost; `now` in milliseconds since 1970. */
export async function issueServerCertificates(
  ring: Pick<KeyRing, 'machineCa' | 'bootCa'>,
  names: readonly string[],
  now: number,
): Promise<ServerTls> {
  const request: LeafRequest = {
    commonName: 'Muster',
    names: [...new Set([...ALWAYS, ...names])].map(subjectNameOf),
    usage: 'server',
    validity: validityOfDays(now, SERVER_DAYS),
  };
  const [ec, rsa] = await Promise.all([
    generate('ec', { namedCurve: 'P-256' }),
    generate('rsa', { modulusLength: 2048 }),
  ]);
  const ecPublicDer = ec.publicKey.export({ format: 'der', type: 'spki' });
  return {
    key: [pemOf(ec.privateKey), pemOf(rsa.privateKey)],
    cert: [
      (await issueEcCertificate(ring.machineCa, ecPublicDer, request)).pem,
      issueRsaCertificate(ring.bootCa, rsa.privateKey, request),
    ],
    ca: ring.machineCa.certificatePem,
    ciphers: EC_CIPHERS_FIRST,
    honorCipherOrder: true,
    minVersion: 'TLSv1.2',
  };
}

function subjectNameOf(value: string): SubjectName {
  return { kind: isIP(value) === 0 ? 'dns' : 'ip', value };
}

function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}
