// PORT. Issues machine identities. Adapter: crypto/x509-certificate-authority.ts.
import type { MachineId } from '../machines/machine.ts';
import type { CertificateRecord } from './enrollment-store.ts';

/** A certificate signing request whose own signature was checked. */
export interface CheckedCsr {
  readonly kind: 'csr';
  /** SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex. */
  readonly keyFingerprint: string;
  readonly pem: string;
}

export interface CertificateAuthority {
  /** PEM of the CA certificate that machines pin. */
  readonly caPem: string;
  /** Parses a PEM CSR (RFC 2986): P-256 key and a right self-signature, or the reason why not. At most 8 KiB. */
  checkCsr(pem: string): Promise<CheckedCsr | { readonly kind: 'refused'; readonly reason: string }>;
  /** Client certificate: CN = machine id, SAN URI spiffe://muster/machine/<id>, clientAuth. Names in the CSR are ignored. */
  issue(
    csr: CheckedCsr,
    machineId: MachineId,
    validity: { readonly notBefore: number; readonly notAfter: number },
  ): Promise<CertificateRecord>;
}
