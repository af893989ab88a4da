// PORT. Where the channels of each repository point, and every move they ever made. Adapters: storage/sql, storage/memory; both
// pass test/contract/channel-store.
import type { ChannelMove } from './channel.ts';
import type { Digest } from '../digest.ts';

export interface ChannelStore {
  /** The last move of this channel; with `number` that very move. */
  find(repository: string, channel: string, number?: number): Promise<ChannelMove | undefined>;
  /** The last move of every channel, by repository and channel. */
  list(repository?: string): Promise<readonly ChannelMove[]>;
  /** Newest first. */
  history(repository: string, channel: string, limit: number): Promise<readonly ChannelMove[]>;
  /** False where this channel has a move of that number already: somebody was faster, and nothing is changed. */
  append(move: ChannelMove): Promise<boolean>;
  /** What the channels point to, and what one rollback would bring back: never collected. */
  pinned(): Promise<ReadonlySet<Digest>>;
}
