// Channels in memory: for tests and for trying things out.
import { presentMove, type ChannelMove } from '../../images/channels/channel.ts';
import type { ChannelStore } from '../../images/channels/channel-store.ts';
import type { Digest } from '../../images/digest.ts';

export class MemoryChannelStore implements ChannelStore {
  /** The moves of each channel in their order, by `repository@channel`. */
  readonly #moves = new Map<string, ChannelMove[]>();

  find(repository: string, channel: string, number?: number): Promise<ChannelMove | undefined> {
    const moves = this.#of(repository, channel);
    return Promise.resolve(
      number === undefined ? presentMove(moves.at(-1)) : moves.find((move) => move.number === number),
    );
  }

  list(repository?: string): Promise<readonly ChannelMove[]> {
    const present = [...this.#moves.values()].flatMap((moves) => presentMove(moves.at(-1)) ?? []);
    return Promise.resolve(
      present.filter((move) => repository === undefined || move.repository === repository).sort(byChannel),
    );
  }

  history(repository: string, channel: string, limit: number): Promise<readonly ChannelMove[]> {
    return Promise.resolve(this.#of(repository, channel).toReversed().slice(0, limit));
  }

  append(move: ChannelMove): Promise<boolean> {
    const moves = this.#of(move.repository, move.channel);
    if (moves.some(({ number }) => number === move.number)) return Promise.resolve(false);
    this.#moves.set(`${move.repository}@${move.channel}`, [...moves, move]);
    return Promise.resolve(true);
  }

  async pinned(): Promise<ReadonlySet<Digest>> {
    return new Set((await this.list()).flatMap(({ digest, before }) => [digest, ...(before ? [before.digest] : [])]));
  }

  #of(repository: string, channel: string): ChannelMove[] {
    return this.#moves.get(`${repository}@${channel}`) ?? [];
  }
}

function byChannel(one: ChannelMove, other: ChannelMove): number {
  if (one.repository !== other.repository) return one.repository < other.repository ? -1 : 1;
  return one.channel < other.channel ? -1 : 1;
}
