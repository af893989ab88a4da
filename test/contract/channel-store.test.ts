import { beforeEach, describe, expect, it } from 'vitest';
import { promotionAfter, removalAfter, rollbackAfter, type ChannelMove } from '../../src/images/channels/channel.ts';
import type { ChannelStore } from '../../src/images/channels/channel-store.ts';
import { aDigest, NOON } from '../support/domain-builders.ts';
import { STORE_ADAPTERS, storesOf } from './store-adapters.ts';

const REMARK = { by: 'admin', note: 'because', at: NOON };

describe.each(STORE_ADAPTERS)('ChannelStore ($name)', (adapter) => {
  const open = storesOf(adapter);
  let channels: ChannelStore;
  beforeEach(() => {
    ({ channels } = open().stores);
  });

  it('gives back every property of a move, with and without a release before it', async () => {
    const first = aPromotion('a');
    const second = aPromotion('b', first);
    for (const move of [first, second]) expect(await channels.append(move)).toBe(true);
    expect(await channels.find('fleet/os', 'stable', 1)).toEqual(first);
    expect(await channels.find('fleet/os', 'stable')).toEqual(second);
    expect(await channels.find('fleet/os', 'stable', 3)).toBeUndefined();
    expect(await channels.find('fleet/os', 'beta')).toBeUndefined();
    expect(await channels.find('fleet', 'stable')).toBeUndefined();
  });

  it('lets one of two moves of the same number win, also through another connection', async () => {
    const second = (await open().second()).channels;
    const outcomes = await Promise.all([channels.append(aPromotion('a')), second.append(aPromotion('b'))]);
    expect(outcomes.toSorted()).toEqual([false, true]);
    expect(await channels.history('fleet/os', 'stable', 10)).toHaveLength(1);
  });

  it('keeps the history, newest first, as far as it is asked', async () => {
    const first = aPromotion('a');
    const second = aPromotion('b', first);
    const third = rollbackAfter(second, first, REMARK);
    for (const move of [first, second, third]) await channels.append(move);
    expect(await channels.history('fleet/os', 'stable', 10)).toEqual([third, second, first]);
    expect(await channels.history('fleet/os', 'stable', 2)).toEqual([third, second]);
  });

  it('lists the last move of every channel, by repository and channel', async () => {
    const stable = aPromotion('a');
    for (const move of [
      stable,
      aPromotion('b', stable),
      aPromotion('c', undefined, 'beta'),
      aPromotion('d', undefined, 'beta', 'edge'),
    ])
      await channels.append(move);
    const summary = (moves: readonly ChannelMove[]) =>
      moves.map((move) => [move.repository, move.channel, move.digest]);
    expect(summary(await channels.list())).toEqual([
      ['edge', 'beta', aDigest('d')],
      ['fleet/os', 'beta', aDigest('c')],
      ['fleet/os', 'stable', aDigest('b')],
    ]);
    expect(summary(await channels.list('edge'))).toEqual([['edge', 'beta', aDigest('d')]]);
  });

  it('pins what channels point to and what one rollback brings back, and no more', async () => {
    expect(await channels.pinned()).toEqual(new Set());
    const first = aPromotion('a');
    const second = aPromotion('b', first);
    const third = aPromotion('c', second);
    for (const move of [first, second, third]) await channels.append(move);
    expect(await channels.pinned()).toEqual(new Set([aDigest('b'), aDigest('c')]));
  });

  it('neither finds, lists nor pins a channel that was removed, and keeps its history', async () => {
    const first = aPromotion('a');
    const second = aPromotion('b', first);
    const removal = removalAfter(second, REMARK);
    for (const move of [first, second, removal, aPromotion('c', undefined, 'beta')]) await channels.append(move);
    expect(await channels.find('fleet/os', 'stable')).toBeUndefined();
    expect((await channels.list()).map(({ channel }) => channel)).toEqual(['beta']);
    expect((await channels.list('fleet/os')).map(({ channel }) => channel)).toEqual(['beta']);
    expect(await channels.pinned()).toEqual(new Set([aDigest('c')]));
    expect(await channels.find('fleet/os', 'stable', 3)).toEqual(removal);
    expect(await channels.find('fleet/os', 'stable', 2)).toEqual(second);
    expect(await channels.history('fleet/os', 'stable', 10)).toEqual([removal, second, first]);
  });

  it('has a channel again once it is made again', async () => {
    const first = aPromotion('a');
    const removal = removalAfter(first, REMARK);
    const again = aPromotion('b', removal);
    for (const move of [first, removal, again]) expect(await channels.append(move)).toBe(true);
    expect(again).toMatchObject({ number: 3, release: 3 });
    expect(await channels.find('fleet/os', 'stable')).toEqual(again);
    expect(await channels.list()).toEqual([again]);
    expect(await channels.pinned()).toEqual(new Set([aDigest('b')]));
  });
});

function aPromotion(digit: string, last?: ChannelMove, channel = 'stable', repository = 'fleet/os'): ChannelMove {
  const target = { repository, channel, digest: aDigest(digit), reference: `${repository}:${digit}` };
  return promotionAfter(last, target, REMARK);
}
