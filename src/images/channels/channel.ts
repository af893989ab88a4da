// A channel is a name that points to one image of a repository and remembers where it pointed before. Pure types and rules.
import type { Digest } from '../digest.ts';

/** One change of a channel. Moves are numbered from 1 without gaps and never altered. */
export interface ChannelMove {
  readonly repository: string;
  readonly channel: string;
  readonly number: number;
  readonly kind: 'promoted' | 'rolled-back';
  readonly digest: Digest;
  /** The move that holds again after this one; a promotion begins a release of its own, hence its own number. */
  readonly release: number;
  /** The release that the next rollback brings back, with its digest; absent where there is none. */
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

/** The next move of a channel whose last one is `last`. */
export function promotionAfter(
  last: ChannelMove | undefined,
  target: Pick<ChannelMove, 'repository' | 'channel' | 'digest' | 'reference'>,
  remark: Remark,
): ChannelMove {
  const { repository, channel, digest, reference } = target;
  const number = (last?.number ?? 0) + 1;
  const before = last === undefined ? {} : { before: { release: last.release, digest: last.digest } };
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
