// PORT. Where the channels of each repository point, and every move they ever made. Adapters: storage/sql, storage/memory; both
// pass test/contract/channel-store.
import type { ChannelMove } from './channel.ts';
import type { Digest } from '../digest.ts';

export interface ChannelStore {
  /** The move by which this channel points somewhere now; with `number` that very move, a removal too. */
  find(repository: string, channel: string, number?: number): Promise<ChannelMove | undefined>;
  /** The same of every channel that there is, by repository and channel. */
  list(repository?: string): Promise<readonly ChannelMove[]>;
  /** Every move, also of a channel that was removed. Newest first. */
  history(repository: string, channel: string, limit: number): Promise<readonly ChannelMove[]>;
  /** False where this channel has a move of that number already: somebody was faster, and nothing is changed. */
  append(move: ChannelMove): Promise<boolean>;
  /** What the channels point to, and what one rollback would bring back: never collected. */
  pinned(): Promise<ReadonlySet<Digest>>;
}
