// A channel is a name that points to one image of a repository and remembers where it pointed before. Pure types and rules.
import type { Digest } from '../digest.ts';

/** One change of a channel. Moves are numbered from 1 without gaps and never altered. */
export interface ChannelMove {
  readonly repository: string;
  readonly channel: string;
  readonly number: number;
  readonly kind: 'promoted' | 'rolled-back' | 'removed';
  /** Where the channel points; of a removal, where it pointed until then. */
  readonly digest: Digest;
  /** The move that holds again after this one; a promotion begins a release of its own, hence its own number. */
  readonly release: number;
  /** The release that the next rollback brings back, with its digest; absent where there is none, and of a removal. */
  readonly before?: { readonly release: number; readonly digest: Digest };
  /** What was asked for (`fleet/os:2024-05`), as a person wrote it. */
  readonly reference: string;
  readonly by: string;
  readonly note: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

interface Remark {
  readonly by: string;
  readonly note: string;
  readonly at: number;
}

/** The move by which the channel points somewhere; undefined where it was never made, or was removed. */
export function presentMove(last: ChannelMove | undefined): ChannelMove | undefined {
  return last?.kind === 'removed' ? undefined : last;
}

/**
 * The next move of a channel whose last one is `last`. After a removal there is nothing to go back to: what the channel pointed
 * to before was free to be collected.
 */
export function promotionAfter(
  last: ChannelMove | undefined,
  target: Pick<ChannelMove, 'repository' | 'channel' | 'digest' | 'reference'>,
  remark: Remark,
): ChannelMove {
  const { repository, channel, digest, reference } = target;
  const number = (last?.number ?? 0) + 1;
  const present = presentMove(last);
  const before = present === undefined ? {} : { before: { release: present.release, digest: present.digest } };
  return { repository, channel, number, kind: 'promoted', digest, release: number, ...before, reference, ...remark };
}

/**
 * The move that takes `last` back. `restored` is the move that began the release before it: a second rollback goes one release
 * further back, not forth again.
 */
export function rollbackAfter(last: ChannelMove, restored: ChannelMove, remark: Remark): ChannelMove {
  const { repository, channel, digest, reference, release } = restored;
  const before = restored.before === undefined ? {} : { before: restored.before };
  return {
    repository,
    channel,
    number: last.number + 1,
    kind: 'rolled-back',
    digest,
    release,
    ...before,
    reference,
    ...remark,
  };
}

/** The move that ends the channel. Its numbers go on where the channel is made again, so that the history stays one. */
export function removalAfter(last: ChannelMove, remark: Remark): ChannelMove {
  const { repository, channel, number, digest, release, reference } = last;
  return { repository, channel, number: number + 1, kind: 'removed', digest, release, reference, ...remark };
}
