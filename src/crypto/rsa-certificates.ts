// Makes RSA certificates for firmware and old iPXE builds that know no elliptic curves. The keys are node:crypto's:
// node-forge makes the certificates alone, which node:crypto cannot.
import forge from 'node-forge';
import { createPublicKey, type KeyObject } from 'node:crypto';
import {
  CA_DAYS,
  createSerialNumber,
  fingerprintOf,
  validityOfDays,
  type LeafRequest,
  type SigningAuthority,
  type SubjectName,
  type Validity,
} from './signing-authority.ts';

/** Self-signed CA certificate of ten years, named after its key as createEcAuthorityCertificate does. */
export function createRsaAuthorityCertificate(key: KeyObject, now: number): string {
  const certificate = blankCertificate(key, validityOfDays(now, CA_DAYS));
  const publicKeyDer = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const name = [{ name: 'commonName', value: `Muster boot CA ${fingerprintOf(publicKeyDer).slice(0, 8)}` }];
  certificate.setSubject(name);
  certificate.setIssuer(name);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  return signedPem(certificate, key);
}

/** Signs a server or client leaf for the RSA key. */
export function issueRsaCertificate(authority: SigningAuthority, leafKey: KeyObject, request: LeafRequest): string {
  const issuer = forge.pki.certificateFromPem(authority.certificatePem);
  const certificate = blankCertificate(leafKey, request.validity);
  certificate.setSubject([{ name: 'commonName', value: request.commonName }]);
  certificate.setIssuer(issuer.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    // keyEncipherment: TLS 1.2 clients without (EC)DHE encrypt the premaster secret to this key (RFC 5246 §7.4.2).
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    { name: 'extKeyUsage', ...(request.usage === 'server' ? { serverAuth: true } : { clientAuth: true }) },
    { name: 'subjectAltName', altNames: request.names.map(altNameOf) },
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: issuer.generateSubjectKeyIdentifier().getBytes() },
  ]);
  return signedPem(certificate, authority.key);
}

function blankCertificate(key: KeyObject, validity: Validity): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  const publicPem = createPublicKey(key).export({ format: 'pem', type: 'spki' });
  certificate.publicKey = forge.pki.publicKeyFromPem(publicPem.toString());
  certificate.serialNumber = createSerialNumber();
  certificate.validity.notBefore = new Date(validity.notBefore);
  certificate.validity.notAfter = new Date(validity.notAfter);
  return certificate;
}

function signedPem(certificate: forge.pki.Certificate, key: KeyObject): string {
  const privatePem = key.export({ format: 'pem', type: 'pkcs8' }).toString();
  certificate.sign(forge.pki.privateKeyFromPem(privatePem), forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate).replaceAll('\r', '');
}

/** GeneralName by its context tag (RFC 5280 §4.2.1.6). */
function altNameOf({ kind, value }: SubjectName): { type: number; value?: string; ip?: string } {
  switch (kind) {
    case 'dns':
      return { type: 2, value };
    case 'uri':
      return { type: 6, value };
    case 'ip':
      return { type: 7, ip: value };
  }
}
