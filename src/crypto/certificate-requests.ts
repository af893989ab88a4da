// Reads PKCS #10 requests (RFC 2986). Trusts nothing in them but the public key, and that only once they are self-signed.
import 'reflect-metadata'; // @peculiar/x509 fails at import without it
import * as x509 from '@peculiar/x509';
import { z } from 'zod';
import { fingerprintOf } from './signing-authority.ts';

const CSR_BYTES_MAX = 8192;
const ONE_PEM_BLOCK =
  /^\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----\r?\n[A-Za-z0-9+/=\r\n]+-----END (NEW )?CERTIFICATE REQUEST-----\s*$/;
/** DER of a SubjectPublicKeyInfo up to the point: id-ecPublicKey, named curve P-256, uncompressed (RFC 5480 §2). */
const P256_UNCOMPRESSED = '3059301306072a8648ce3d020106082a8648ce3d03010703420004';
const P256_DER_BYTES = 91;
const ACCEPTED_SIGNATURE = z.object({
  name: z.literal('ECDSA'),
  hash: z.object({ name: z.enum(['SHA-256', 'SHA-384', 'SHA-512']) }),
});

export interface ParsedCsr {
  readonly kind: 'csr';
  readonly publicKeyDer: Uint8Array;
  readonly keyFingerprint: string;
}

/** Parses one PEM request of at most 8 KiB with a P-256 key, and checks its own signature. */
export async function parseCsr(
  pem: string,
): Promise<ParsedCsr | { readonly kind: 'refused'; readonly reason: string }> {
  if (Buffer.byteLength(pem) > CSR_BYTES_MAX) return refuse(`the request is larger than ${CSR_BYTES_MAX} bytes`);
  if (!ONE_PEM_BLOCK.test(pem)) return refuse('the request is not one PEM block CERTIFICATE REQUEST');
  try {
    const request = new x509.Pkcs10CertificateRequest(pem);
    const publicKeyDer = new Uint8Array(request.publicKey.rawData);
    if (!isP256(publicKeyDer)) return refuse('the key is not an uncompressed P-256 key');
    if (!ACCEPTED_SIGNATURE.safeParse(request.signatureAlgorithm).success)
      return refuse('the request is not signed with ECDSA and SHA-256, SHA-384 or SHA-512');
    if (!(await request.verify())) return refuse('the request was not signed by its own key');
    return { kind: 'csr', publicKeyDer, keyFingerprint: fingerprintOf(publicKeyDer) };
  } catch {
    // ASN.1 that does not parse, a point that is not on the curve, an algorithm that nobody knows.
    return refuse('the request cannot be parsed');
  }
}

function isP256(publicKeyDer: Uint8Array): boolean {
  const head = Buffer.from(publicKeyDer.subarray(0, P256_UNCOMPRESSED.length / 2)).toString('hex');
  return publicKeyDer.length === P256_DER_BYTES && head === P256_UNCOMPRESSED;
}

function refuse(reason: string): { readonly kind: 'refused'; readonly reason: string } {
  return { kind: 'refused', reason };
}
