// Moves channels: promotion to an image that is here and trusted, and the way back. Every move is on record before it is
// answered for.
import type { Clock } from '../../clock.ts';
import type { EventRecorder } from '../../events/event-recorder.ts';
import { KeyedQueue } from '../../keyed-queue.ts';
import { promotionAfter, rollbackAfter, type ChannelMove } from './channel.ts';
import type { ChannelStore } from './channel-store.ts';
import type { Digest } from '../digest.ts';
import { formatImageReference, type ImageReference } from '../image-reference.ts';
import type { RegistryStore } from '../registry/registry-store.ts';
import type { TrustPolicy } from '../trust/trust-policy.ts';

export type MoveOutcome =
  | { readonly kind: 'moved'; readonly move: ChannelMove; readonly from?: Digest }
  /** The channel points there already. */
  | { readonly kind: 'unchanged'; readonly move: ChannelMove }
  | { readonly kind: 'not-found'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

export interface Promotion {
  readonly repository: string;
  readonly channel: string;
  /** Must be of the same repository. */
  readonly to: ImageReference;
  readonly by: string;
  readonly note: string;
}

export interface ChannelServiceParts {
  readonly store: ChannelStore;
  readonly registry: Pick<RegistryStore, 'resolveTag' | 'findManifest'>;
  readonly trust: TrustPolicy;
  readonly events: Pick<EventRecorder, 'recordNow'>;
  readonly clock: Clock;
}

export class ChannelService {
  readonly #parts: ChannelServiceParts;
  readonly #queue = new KeyedQueue();

  constructor(parts: ChannelServiceParts) {
    this.#parts = parts;
  }

  list(repository?: string): Promise<readonly ChannelMove[]> {
    return this.#parts.store.list(repository);
  }

  history(repository: string, channel: string, limit: number): Promise<readonly ChannelMove[]> {
    return this.#parts.store.history(repository, channel, limit);
  }

  /** What a reference leads to now; undefined where there is no such tag or channel. A digest leads to itself. */
  async resolve(reference: ImageReference): Promise<Digest | undefined> {
    switch (reference.kind) {
      case 'digest':
        return reference.digest;
      case 'tag':
        return this.#parts.registry.resolveTag(reference.name, reference.tag);
      case 'channel':
        return (await this.#parts.store.find(reference.name, reference.channel))?.digest;
    }
  }

  /** Points the channel to the image, and makes the channel if need be. */
  promote({ repository, channel, to, by, note }: Promotion): Promise<MoveOutcome> {
    return this.#inTurn(repository, channel, async (last) => {
      const reference = formatImageReference(to);
      if (to.name !== repository)
        return { kind: 'refused', reason: `${reference} is not of the repository ${repository}` };
      const digest = await this.resolve(to);
      if (digest === undefined) return { kind: 'not-found', reason: `there is no ${reference}` };
      if (last?.digest === digest) return { kind: 'unchanged', move: last };
      const remark = { by, note, at: this.#parts.clock.now() };
      return promotionAfter(last, { repository, channel, digest, reference }, remark);
    });
  }

  /** Points the channel to the release before the present one. */
  rollback(channel: { repository: string; channel: string; by: string; note: string }): Promise<MoveOutcome> {
    const { repository, by, note } = channel;
    return this.#inTurn(repository, channel.channel, async (last) => {
      const name = `${repository}@${channel.channel}`;
      if (last === undefined) return { kind: 'not-found', reason: `there is no channel ${name}` };
      const restored =
        last.before === undefined
          ? undefined
          : await this.#parts.store.find(repository, channel.channel, last.before.release);
      if (restored === undefined) return { kind: 'refused', reason: `${name} has no release before this one` };
      return rollbackAfter(last, restored, { by, note, at: this.#parts.clock.now() });
    });
  }

  /** One at a time for each channel; where another process was faster, once more with what it left. */
  #inTurn(
    repository: string,
    channel: string,
    decide: (last: ChannelMove | undefined) => Promise<ChannelMove | MoveOutcome>,
  ): Promise<MoveOutcome> {
    return this.#queue.run(`${repository}@${channel}`, async () => {
      for (;;) {
        const last = await this.#parts.store.find(repository, channel);
        const decided = await decide(last);
        if (!('number' in decided)) return decided;
        const refusal = await this.#refusalOf(decided);
        if (refusal !== undefined) return refusal;
        if (await this.#parts.store.append(decided)) return await this.#moved(decided, last);
      }
    });
  }

  /** A rollback is held to the same rules: the keys may have changed since, and the image may be gone. */
  async #refusalOf(move: ChannelMove): Promise<MoveOutcome | undefined> {
    const { repository, channel, digest } = move;
    if ((await this.#parts.registry.findManifest(repository, digest)) === undefined)
      return { kind: 'not-found', reason: `the image ${repository}@${digest} is not in the registry` };
    const decision = await this.#parts.trust.decide(repository, digest, channel);
    if (decision.kind === 'trusted') return undefined;
    const image = `${repository}@${digest}`;
    await this.#parts.events.recordNow({
      kind: 'image-untrusted',
      details: { image, channel, reason: decision.reason },
    });
    return { kind: 'refused', reason: `${image} is not trusted: ${decision.reason}` };
  }

  async #moved(move: ChannelMove, last: ChannelMove | undefined): Promise<MoveOutcome> {
    const { repository, channel, digest, by, note } = move;
    const from = last === undefined ? {} : { from: last.digest };
    const kind = move.kind === 'promoted' ? 'channel-promoted' : 'channel-rolled-back';
    await this.#parts.events.recordNow({ kind, details: { image: repository, channel, digest, ...from, by, note } });
    return { kind: 'moved', move, ...from };
  }
}
