// A certificate authority that signs nothing: a request is the text `csr <name of the key>`. Counts what it issued.
import type { CertificateAuthority, CheckedCsr } from '../../src/enrollment/certificate-authority.ts';
import type { CertificateRecord } from '../../src/enrollment/enrollment-store.ts';
import type { MachineId } from '../../src/machines/machine.ts';

export class FakeCertificateAuthority implements CertificateAuthority {
  readonly caPem = 'fake CA';
  issued = 0;

  checkCsr(pem: string): Promise<CheckedCsr | { readonly kind: 'refused'; readonly reason: string }> {
    if (!pem.startsWith('csr ')) return Promise.resolve({ kind: 'refused', reason: 'not a request' });
    return Promise.resolve({ kind: 'csr', keyFingerprint: Buffer.from(pem).toString('hex').padEnd(64, '0'), pem });
  }

  async issue(
    csr: CheckedCsr,
    machineId: MachineId,
    validity: { readonly notBefore: number; readonly notAfter: number },
  ): Promise<CertificateRecord> {
    this.issued += 1;
    const serial = this.issued.toString(16).padStart(32, '0');
    // Real signatures take their time, in which others get their turn.
    await new Promise((resolve) => setImmediate(resolve));
    return { serial, machineId, keyFingerprint: csr.keyFingerprint, pem: `certificate of ${machineId}`, ...validity };
  }
}
