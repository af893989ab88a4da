// Makes EC P-256 certificates (RFC 5280, RFC 5480). Says nothing of who may have one.
import 'reflect-metadata'; // @peculiar/x509 fails at import without it
import * as x509 from '@peculiar/x509';
import { createPublicKey, webcrypto, type KeyObject } from 'node:crypto';
import {
  CA_DAYS,
  createSerialNumber,
  fingerprintOf,
  validityOfDays,
  type LeafRequest,
  type SigningAuthority,
} from './signing-authority.ts';

const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const SAN_TYPES = { dns: 'dns', ip: 'ip', uri: 'url' } as const;

/**
 * Self-signed CA certificate of ten years. Its name and key identifier come from the key, so that one made again from the
 * same key stands for the same CA: what was issued before stays good.
 */
export async function createEcAuthorityCertificate(key: KeyObject, now: number): Promise<string> {
  const publicKeyDer = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const publicKey = new x509.PublicKey(publicKeyDer);
  const name = [{ CN: [`Muster CA ${fingerprintOf(publicKeyDer).slice(0, 8)}`] }];
  const validity = validityOfDays(now, CA_DAYS);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: createSerialNumber(),
    subject: name,
    issuer: name,
    notBefore: new Date(validity.notBefore),
    notAfter: new Date(validity.notAfter),
    publicKey,
    signingKey: await importSigningKey(key),
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return pemOf(certificate);
}

/** Signs a leaf for a public key (DER SubjectPublicKeyInfo). */
export async function issueEcCertificate(
  authority: SigningAuthority,
  publicKeyDer: Uint8Array,
  request: LeafRequest,
): Promise<{ readonly serial: string; readonly pem: string }> {
  const serial = createSerialNumber();
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const publicKey = new x509.PublicKey(publicKeyDer);
  const usage = request.usage === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: [{ CN: [request.commonName] }],
    issuer: issuer.subjectName,
    notBefore: new Date(request.validity.notBefore),
    notAfter: new Date(request.validity.notAfter),
    publicKey,
    signingKey: await importSigningKey(authority.key),
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      new x509.SubjectAlternativeNameExtension(
        request.names.map(({ kind, value }) => ({ type: SAN_TYPES[kind], value })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { serial, pem: pemOf(certificate) };
}

function importSigningKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
}

function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem').trim()}\n`;
}
