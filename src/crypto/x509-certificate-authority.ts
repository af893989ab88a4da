// Issues machine identities from the machine CA. Adapter of enrollment/certificate-authority.
import type { CertificateAuthority, CheckedCsr } from '../enrollment/certificate-authority.ts';
import type { CertificateRecord } from '../enrollment/enrollment-store.ts';
import { AppError } from '../errors.ts';
import type { MachineId } from '../machines/machine.ts';
import { parseCsr } from './certificate-requests.ts';
import { issueEcCertificate } from './ec-certificates.ts';
import type { SigningAuthority, Validity } from './signing-authority.ts';

export class X509CertificateAuthority implements CertificateAuthority {
  readonly #authority: SigningAuthority;

  constructor(authority: SigningAuthority) {
    this.#authority = authority;
  }

  get caPem(): string {
    return this.#authority.certificatePem;
  }

  async checkCsr(pem: string): Promise<CheckedCsr | { readonly kind: 'refused'; readonly reason: string }> {
    const parsed = await parseCsr(pem);
    return parsed.kind === 'refused' ? parsed : { kind: 'csr', keyFingerprint: parsed.keyFingerprint, pem };
  }

  /** Times are cut to whole seconds, which is all that X.509 can say; the record has what the certificate says. */
  async issue(csr: CheckedCsr, machineId: MachineId, validity: Validity): Promise<CertificateRecord> {
    const parsed = await parseCsr(csr.pem);
    if (parsed.kind === 'refused') throw new AppError('csr-invalid', parsed.reason);
    const wholeSeconds = { notBefore: wholeSecond(validity.notBefore), notAfter: wholeSecond(validity.notAfter) };
    const issued = await issueEcCertificate(this.#authority, parsed.publicKeyDer, {
      commonName: machineId,
      names: [{ kind: 'uri', value: `spiffe://muster/machine/${machineId}` }],
      usage: 'client',
      validity: wholeSeconds,
    });
    return { ...issued, machineId, keyFingerprint: parsed.keyFingerprint, ...wholeSeconds };
  }
}

function wholeSecond(milliseconds: number): number {
  return Math.floor(milliseconds / 1000) * 1000;
}
