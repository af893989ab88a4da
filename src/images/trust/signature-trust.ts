// Decides by signatures whether an image may be served: every key that the settings require must have signed its digest.
import type { Digest } from '../digest.ts';
import type { SigningKey } from './signature.ts';
import { findSignatures, type FoundSignature, type SignatureSource } from './signature-finder.ts';
import { requiredKeys, type TrustDecision, type TrustPolicy, type TrustRequirements } from './trust-policy.ts';

/** Reasons are shown whole on a console of 80 columns. */
const REASONS_SHOWN = 3;

export interface SignatureReport {
  readonly signatures: readonly FoundSignature[];
  readonly decision: TrustDecision;
}

export class SignatureTrust implements TrustPolicy {
  readonly #source: SignatureSource;
  readonly #keys: readonly SigningKey[];
  readonly #requirements: TrustRequirements;

  /** Every key that is required must be among `keys`. */
  constructor(parts: {
    readonly source: SignatureSource;
    readonly keys: readonly SigningKey[];
    readonly requirements: TrustRequirements;
  }) {
    this.#source = parts.source;
    this.#keys = parts.keys;
    this.#requirements = parts.requirements;
  }

  async decide(name: string, digest: Digest, channel?: string): Promise<TrustDecision> {
    const required = requiredKeys(this.#requirements, channel);
    if (required.length === 0) return { kind: 'trusted' };
    return decideBySignatures(required, await this.#find(name, digest), channel);
  }

  /** All signatures of the image and the decision, for people who ask why. */
  async report(name: string, digest: Digest, channel?: string): Promise<SignatureReport> {
    const signatures = await this.#find(name, digest);
    return { signatures, decision: decideBySignatures(requiredKeys(this.#requirements, channel), signatures, channel) };
  }

  #find(repository: string, digest: Digest): Promise<readonly FoundSignature[]> {
    return findSignatures(this.#source, { repository, digest }, this.#keys);
  }
}

/** Trusted where each of the required keys has a valid signature among these. Pure. */
function decideBySignatures(
  required: readonly string[],
  signatures: readonly FoundSignature[],
  channel: string | undefined,
): TrustDecision {
  const signed = new Set(signatures.flatMap(({ verdict }) => (verdict.kind === 'valid' ? [verdict.key] : [])));
  const missing = required.filter((key) => !signed.has(key));
  if (missing.length === 0) return { kind: 'trusted' };
  const demand = `${channel === undefined ? 'the settings require' : `channel ${channel} requires`} a signature by ${missing.join(' and ')}`;
  if (signatures.length === 0) return { kind: 'refused', reason: `it has no signature, and ${demand}` };
  const faults = [...new Set(signatures.flatMap(({ verdict }) => (verdict.kind === 'valid' ? [] : [verdict.reason])))];
  const others = [...signed].filter((key) => !missing.includes(key));
  const explanations = [
    ...(others.length === 0 ? [] : [`signed by ${others.join(' and ')} only`]),
    ...faults.slice(0, REASONS_SHOWN).map((fault) => `of a signature: ${fault}`),
  ];
  return { kind: 'refused', reason: `${demand} (${explanations.join('; ')})` };
}
