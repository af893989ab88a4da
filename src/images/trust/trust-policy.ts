// PORT. Whether an image may be booted, upgraded to or promoted. Adapter: SignatureTrust (signature-trust.ts), which asks the
// signatures in the registry; the settings say which keys must have signed.
import type { Digest } from '../digest.ts';

export type TrustDecision =
  | { readonly kind: 'trusted' }
  /** `reason` completes "the image is refused: …", for the console, the event and the answer of the API. */
  | { readonly kind: 'refused'; readonly reason: string };

export interface TrustPolicy {
  /**
   * `digest` is what the reference led to (an index or an image manifest), `channel` the one that it came through. Costs nothing
   * where no key is required.
   */
  decide(name: string, digest: Digest, channel?: string): Promise<TrustDecision>;
}

/** Names of keys that must all have signed: every image that is served, and besides those of the channel it comes through. */
export interface TrustRequirements {
  readonly require: readonly string[];
  readonly channels: Readonly<Record<string, { readonly require: readonly string[] }>>;
}

/** The keys that must have signed, each once, those for every image first. */
export function requiredKeys(requirements: TrustRequirements, channel: string | undefined): readonly string[] {
  const ofChannel =
    channel === undefined || !Object.hasOwn(requirements.channels, channel)
      ? []
      : (requirements.channels[channel]?.require ?? []);
  return [...new Set([...requirements.require, ...ofChannel])];
}
