// Moves channels: promotion to an image that is here and trusted, the way back, and the end. Every move is on record before it
// is answered for, and no image is collected between the look at it and the move that pins it.
import type { Clock } from '../../clock.ts';
import type { EventRecorder } from '../../events/event-recorder.ts';
import { KeyedQueue } from '../../keyed-queue.ts';
import { presentMove, promotionAfter, removalAfter, rollbackAfter, type ChannelMove } from './channel.ts';
import type { ChannelStore } from './channel-store.ts';
import type { Digest } from '../digest.ts';
import { formatImageReference, type ImageReference } from '../image-reference.ts';
import type { RegistryService } from '../registry/registry-service.ts';
import type { RegistryStore } from '../registry/registry-store.ts';
import type { TrustPolicy } from '../trust/trust-policy.ts';

export type MoveOutcome =
  | { readonly kind: 'moved'; readonly move: ChannelMove; readonly from?: Digest }
  /** The channel points there already. */
  | { readonly kind: 'unchanged'; readonly move: ChannelMove }
  | { readonly kind: 'not-found'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

interface ChannelRequest {
  readonly repository: string;
  readonly channel: string;
  readonly by: string;
  readonly note: string;
}

export interface Promotion extends ChannelRequest {
  /** Must be of the same repository. */
  readonly to: ImageReference;
}

export interface ChannelServiceParts {
  readonly store: ChannelStore;
  readonly registry: Pick<RegistryStore, 'resolveTag' | 'findManifest'>;
  readonly collection: Pick<RegistryService, 'holdCollection'>;
  readonly trust: TrustPolicy;
  readonly events: Pick<EventRecorder, 'recordNow'>;
  readonly clock: Clock;
}

const EVENT_KINDS = {
  promoted: 'channel-promoted',
  'rolled-back': 'channel-rolled-back',
  removed: 'channel-removed',
} as const;

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
      const present = presentMove(last);
      if (present?.digest === digest) return { kind: 'unchanged', move: present };
      const remark = { by, note, at: this.#parts.clock.now() };
      return promotionAfter(last, { repository, channel, digest, reference }, remark);
    });
  }

  /** Points the channel to the release before the present one. */
  rollback({ repository, channel, by, note }: ChannelRequest): Promise<MoveOutcome> {
    return this.#inTurn(repository, channel, async (last) => {
      const present = presentMove(last);
      if (present === undefined) return noChannel(repository, channel);
      const restored =
        present.before === undefined
          ? undefined
          : await this.#parts.store.find(repository, channel, present.before.release);
      if (restored === undefined)
        return { kind: 'refused', reason: `${repository}@${channel} has no release before this one` };
      return rollbackAfter(present, restored, { by, note, at: this.#parts.clock.now() });
    });
  }

  /** Ends the channel. Its history stays readable; what it pointed to is pinned by it no longer. */
  remove({ repository, channel, by, note }: ChannelRequest): Promise<MoveOutcome> {
    return this.#inTurn(repository, channel, (last) => {
      const present = presentMove(last);
      return Promise.resolve(
        present === undefined
          ? noChannel(repository, channel)
          : removalAfter(present, { by, note, at: this.#parts.clock.now() }),
      );
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
        const [last] = await this.#parts.store.history(repository, channel, 1);
        const decided = await decide(last);
        if (!('number' in decided)) return decided;
        const refusal = decided.kind === 'removed' ? undefined : await this.#refusalOf(decided);
        if (refusal !== undefined) return refusal;
        const appended = await this.#append(decided);
        if (appended === 'not-found') return noImage(decided);
        if (appended === 'appended') return await this.#moved(decided, presentMove(last));
      }
    });
  }

  /** A rollback is held to the same rules: the keys may have changed since, and the image may be gone. */
  async #refusalOf(move: ChannelMove): Promise<MoveOutcome | undefined> {
    const { repository, channel, digest } = move;
    if ((await this.#parts.registry.findManifest(repository, digest)) === undefined) return noImage(move);
    const decision = await this.#parts.trust.decide(repository, digest, channel);
    if (decision.kind === 'trusted') return undefined;
    const image = `${repository}@${digest}`;
    await this.#parts.events.recordNow({
      kind: 'image-untrusted',
      details: { image, channel, reason: decision.reason },
    });
    return { kind: 'refused', reason: `${image} is not trusted: ${decision.reason}` };
  }

  /** Looked up once more where nothing can be collected: reading signatures takes its time, and until here nothing pins it. */
  #append(move: ChannelMove): Promise<'appended' | 'outrun' | 'not-found'> {
    const { collection, registry, store } = this.#parts;
    return collection.holdCollection(async () => {
      const isPin = move.kind !== 'removed';
      if (isPin && (await registry.findManifest(move.repository, move.digest)) === undefined) return 'not-found';
      return (await store.append(move)) ? 'appended' : 'outrun';
    });
  }

  async #moved(move: ChannelMove, before: ChannelMove | undefined): Promise<MoveOutcome> {
    const { repository, channel, digest, by, note } = move;
    const from = before === undefined || move.kind === 'removed' ? {} : { from: before.digest };
    const kind = EVENT_KINDS[move.kind];
    await this.#parts.events.recordNow({ kind, details: { image: repository, channel, digest, ...from, by, note } });
    return { kind: 'moved', move, ...from };
  }
}

function noChannel(repository: string, channel: string): MoveOutcome {
  return { kind: 'not-found', reason: `there is no channel ${repository}@${channel}` };
}

function noImage({ repository, digest }: ChannelMove): MoveOutcome {
  return { kind: 'not-found', reason: `the image ${repository}@${digest} is not in the registry` };
}
