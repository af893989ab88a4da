// Detached signatures for iPXE's imgverify: CMS SignedData (RFC 5652 §5) with the signature right over the content, since iPXE
// reads no signed attributes, made by a code-signing certificate of the boot CA. The content is streamed, never held.
import { createPublicKey, createSign, generateKeyPair, type KeyObject } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import forge from 'node-forge';
import type { DetachedSigner } from '../images/trust/signature-boot-files.ts';
import { createSerialNumber, validityOfDays, type SigningAuthority } from './signing-authority.ts';

const { asn1, pki } = forge;
const { Class, Type } = asn1;
const generate = promisify(generateKeyPair);
const CERTIFICATE_DAYS = 397;

/**
 * A signer with a key and certificate of its own, made now; `now` in milliseconds since 1970. What it signs is DER, as
 * `openssl cms -verify -binary -inform DER -content FILE` takes it.
 */
export async function createCmsSigner(bootCa: SigningAuthority, now: number): Promise<DetachedSigner> {
  const { privateKey } = await generate('rsa', { modulusLength: 2048 });
  const certificate = issueCodeSigningCertificate(bootCa, privateKey, now);
  return {
    async sign(content) {
      const signer = createSign('RSA-SHA256');
      await pipeline(content, signer);
      return encodeSignedData(certificate, signer.sign(privateKey));
    },
  };
}

/** iPXE takes only certificates whose extended key usage is code signing (ipxe.org/cmd/imgverify). */
function issueCodeSigningCertificate(bootCa: SigningAuthority, key: KeyObject, now: number): forge.pki.Certificate {
  const issuer = pki.certificateFromPem(bootCa.certificatePem);
  const validity = validityOfDays(now, CERTIFICATE_DAYS);
  const certificate = pki.createCertificate();
  certificate.publicKey = pki.publicKeyFromPem(createPublicKey(key).export({ format: 'pem', type: 'spki' }).toString());
  certificate.serialNumber = createSerialNumber();
  certificate.validity.notBefore = new Date(validity.notBefore);
  certificate.validity.notAfter = new Date(validity.notAfter);
  certificate.setSubject([{ name: 'commonName', value: 'Muster boot files' }]);
  certificate.setIssuer(issuer.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, critical: true },
    { name: 'extKeyUsage', codeSigning: true },
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: issuer.generateSubjectKeyIdentifier().getBytes() },
  ]);
  const authorityPem = bootCa.key.export({ format: 'pem', type: 'pkcs8' }).toString();
  certificate.sign(pki.privateKeyFromPem(authorityPem), forge.md.sha256.create());
  return certificate;
}

/** ContentInfo with SignedData: no content, the signer's certificate, one SignerInfo without attributes. */
function encodeSignedData(certificate: forge.pki.Certificate, signature: Buffer): Uint8Array {
  const certificateAsn1 = pki.certificateToAsn1(certificate);
  const issuerAndSerial = sequence([
    pki.distinguishedNameToAsn1(certificate.issuer),
    primitive(Type.INTEGER, forge.util.hexToBytes(certificate.serialNumber)),
  ]);
  const signerInfo = sequence([
    integer(1),
    issuerAndSerial,
    algorithm('sha256'),
    algorithm('rsaEncryption'),
    primitive(Type.OCTETSTRING, signature.toString('latin1')),
  ]);
  const signedData = sequence([
    integer(1),
    set([algorithm('sha256')]),
    sequence([identifier('data')]),
    tagged0(certificateAsn1),
    set([signerInfo]),
  ]);
  return Buffer.from(asn1.toDer(sequence([identifier('signedData'), tagged0(signedData)])).getBytes(), 'latin1');
}

function algorithm(name: 'sha256' | 'rsaEncryption'): forge.asn1.Asn1 {
  return sequence([identifier(name), primitive(Type.NULL, '')]);
}

function identifier(name: string): forge.asn1.Asn1 {
  return primitive(Type.OID, asn1.oidToDer(forge.pki.oids[name] ?? '').getBytes());
}

function integer(value: number): forge.asn1.Asn1 {
  return primitive(Type.INTEGER, asn1.integerToDer(value).getBytes());
}

function sequence(parts: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, parts);
}

/** Context-specific tag 0. */
function tagged0(part: forge.asn1.Asn1): forge.asn1.Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, Type.NONE, true, [part]);
}

function set(parts: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.SET, true, parts);
}

function primitive(type: forge.asn1.Type, bytes: string): forge.asn1.Asn1 {
  return asn1.create(Class.UNIVERSAL, type, false, bytes);
}
