// Puts on record that a boot was refused an image, and why: once for each image, channel and reason, since a machine that waits
// asks again every few seconds.
import type { EventRecorder } from '../../events/event-recorder.ts';
import type { Digest } from '../digest.ts';
import type { TrustDecision, TrustPolicy } from './trust-policy.ts';

/** So many refusals are remembered; then the oldest is recorded once more when it comes again. */
const MEMORY = 1000;

export class TrustRecorder implements TrustPolicy {
  readonly #policy: TrustPolicy;
  readonly #events: Pick<EventRecorder, 'record'>;
  readonly #reasons = new Map<string, string>();

  constructor(policy: TrustPolicy, events: Pick<EventRecorder, 'record'>) {
    this.#policy = policy;
    this.#events = events;
  }

  async decide(name: string, digest: Digest, channel?: string): Promise<TrustDecision> {
    const decision = await this.#policy.decide(name, digest, channel);
    const image = `${name}@${digest}`;
    const key = `${image} ${channel ?? ''}`;
    if (decision.kind === 'trusted') {
      this.#reasons.delete(key);
    } else if (this.#reasons.get(key) !== decision.reason) {
      this.#remember(key, decision.reason);
      const through = channel === undefined ? {} : { channel };
      this.#events.record({ kind: 'image-untrusted', details: { image, ...through, reason: decision.reason } });
    }
    return decision;
  }

  #remember(key: string, reason: string): void {
    this.#reasons.set(key, reason);
    const [oldest] = this.#reasons.keys();
    if (this.#reasons.size > MEMORY && oldest !== undefined) this.#reasons.delete(oldest);
  }
}
