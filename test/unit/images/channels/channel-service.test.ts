import { describe, expect, it } from 'vitest';
import type { NewBootEvent } from '../../../../src/events/boot-event.ts';
import { ChannelService } from '../../../../src/images/channels/channel-service.ts';
import type { Digest } from '../../../../src/images/digest.ts';
import { parseImageReference } from '../../../../src/images/image-reference.ts';
import type { ManifestRecord } from '../../../../src/images/registry/registry-store.ts';
import { MemoryChannelStore } from '../../../../src/storage/memory/memory-channel-store.ts';
import { aDigest, NOON } from '../../../support/domain-builders.ts';

describe('ChannelService', () => {
  it('promotes what a tag, a digest or another channel leads to, and puts author, note and both digests on record', async () => {
    const { promote, service, events } = world();
    expect(await promote('fleet/os@beta', 'fleet/os:a')).toMatchObject({
      kind: 'moved',
      move: { number: 1, digest: aDigest('a') },
    });
    expect(await promote('fleet/os@stable', 'fleet/os@beta')).toMatchObject({
      move: { digest: aDigest('a'), reference: 'fleet/os@beta' },
    });
    expect(await promote('fleet/os@stable', `fleet/os@${aDigest('b')}`)).toMatchObject({ from: aDigest('a') });
    expect(events.at(-1)).toEqual({
      kind: 'channel-promoted',
      details: {
        image: 'fleet/os',
        channel: 'stable',
        digest: aDigest('b'),
        from: aDigest('a'),
        by: 'eve',
        note: 'why',
      },
    });
    expect((await service.list()).map(({ channel, digest }) => [channel, digest])).toEqual([
      ['beta', aDigest('a')],
      ['stable', aDigest('b')],
    ]);
  });

  it('changes nothing where the channel points there already', async () => {
    const { promote, events } = world();
    await promote('fleet/os@stable', 'fleet/os:a');
    expect(await promote('fleet/os@stable', `fleet/os@${aDigest('a')}`)).toMatchObject({ kind: 'unchanged' });
    expect(events).toHaveLength(1);
  });

  it('goes back release by release: a second rollback goes further back, and a bad release is never met again', async () => {
    const { promote, rollback } = world();
    for (const tag of ['a', 'b', 'c']) await promote('fleet/os@stable', `fleet/os:${tag}`);
    expect(await rollback()).toMatchObject({
      kind: 'moved',
      move: { number: 4, digest: aDigest('b') },
      from: aDigest('c'),
    });
    await promote('fleet/os@stable', 'fleet/os:d');
    // d came after b: c was left behind.
    expect(await rollback()).toMatchObject({ move: { digest: aDigest('b') } });
    expect(await rollback()).toMatchObject({ move: { digest: aDigest('a') } });
    expect(await rollback()).toEqual({ kind: 'refused', reason: 'fleet/os@stable has no release before this one' });
  });

  it('refuses what the trust policy refuses, promotions and rollbacks alike, and records why', async () => {
    const { promote, rollback, distrusted, events, service } = world();
    await promote('fleet/os@stable', 'fleet/os:a');
    await promote('fleet/os@stable', 'fleet/os:b');
    distrusted.add(aDigest('a')).add(aDigest('c'));
    const reason = `fleet/os@${aDigest('c')} is not trusted: it has no signature`;
    expect(await promote('fleet/os@stable', 'fleet/os:c')).toEqual({ kind: 'refused', reason });
    expect(events.at(-1)).toEqual({
      kind: 'image-untrusted',
      details: { image: `fleet/os@${aDigest('c')}`, channel: 'stable', reason: 'it has no signature' },
    });
    expect(await rollback()).toMatchObject({ kind: 'refused' });
    expect(await service.list()).toMatchObject([{ digest: aDigest('b') }]);
  });

  it('knows no tag, channel, image or repository but those that are there', async () => {
    const { promote, rollback } = world();
    expect(await promote('fleet/os@stable', 'fleet/os:z')).toEqual({
      kind: 'not-found',
      reason: 'there is no fleet/os:z',
    });
    expect(await promote('fleet/os@stable', 'fleet/os@beta')).toMatchObject({ kind: 'not-found' });
    const missing = `fleet/os@${aDigest('f')}`;
    expect(await promote('fleet/os@stable', missing)).toMatchObject({
      reason: `the image ${missing} is not in the registry`,
    });
    expect(await promote('fleet/os@stable', 'other:a')).toMatchObject({
      kind: 'refused',
      reason: 'other:a is not of the repository fleet/os',
    });
    expect(await rollback()).toEqual({ kind: 'not-found', reason: 'there is no channel fleet/os@stable' });
  });

  it('ends a channel with author and note on record, and keeps its history readable', async () => {
    const { promote, remove, rollback, service, events } = world();
    await promote('fleet/os@stable', 'fleet/os:a');
    await promote('fleet/os@stable', 'fleet/os:b');
    expect(await remove()).toEqual({
      kind: 'moved',
      move: {
        ...{ repository: 'fleet/os', channel: 'stable', number: 3, kind: 'removed', digest: aDigest('b'), release: 2 },
        ...{ reference: 'fleet/os:b', by: 'eve', note: 'over', at: NOON },
      },
    });
    expect(events.at(-1)).toEqual({
      kind: 'channel-removed',
      details: { image: 'fleet/os', channel: 'stable', digest: aDigest('b'), by: 'eve', note: 'over' },
    });
    expect(await service.list()).toEqual([]);
    expect(await service.resolve(parseImageReference('fleet/os@stable')!)).toBeUndefined();
    const history = await service.history('fleet/os', 'stable', 10);
    expect(history.map(({ number, kind }) => [number, kind])).toEqual([
      [3, 'removed'],
      [2, 'promoted'],
      [1, 'promoted'],
    ]);
    const gone = { kind: 'not-found', reason: 'there is no channel fleet/os@stable' };
    expect(await rollback()).toEqual(gone);
    expect(await remove()).toEqual(gone);
    expect(events).toHaveLength(3);
  });

  it('begins anew after a removal: same numbers, and nothing from before to roll back to', async () => {
    const { promote, remove, rollback, events } = world();
    await promote('fleet/os@stable', 'fleet/os:a');
    await remove();
    const again = await promote('fleet/os@stable', 'fleet/os:a');
    expect(again).toMatchObject({ kind: 'moved', move: { number: 3, digest: aDigest('a') } });
    expect(again).not.toHaveProperty('move.before');
    expect(events.at(-1)).not.toHaveProperty('details.from');
    expect(await rollback()).toMatchObject({ kind: 'refused' });
    await promote('fleet/os@stable', 'fleet/os:b');
    expect(await rollback()).toMatchObject({ kind: 'moved', move: { digest: aDigest('a') }, from: aDigest('b') });
  });

  it('removes also what points to an image that is gone or not trusted any more', async () => {
    const { promote, remove, distrusted, known } = world();
    await promote('fleet/os@stable', 'fleet/os:a');
    distrusted.add(aDigest('a'));
    known.length = 0;
    expect(await remove()).toMatchObject({ kind: 'moved', move: { kind: 'removed' } });
  });

  it('runs simultaneous promotions one after the other, none lost', async () => {
    const { promote, service } = world();
    await Promise.all(['a', 'b', 'c', 'd'].map((tag) => promote('fleet/os@stable', `fleet/os:${tag}`)));
    const history = await service.history('fleet/os', 'stable', 10);
    expect(history.map(({ number, digest }) => [number, digest])).toEqual([
      [4, aDigest('d')],
      [3, aDigest('c')],
      [2, aDigest('b')],
      [1, aDigest('a')],
    ]);
  });
});

/** A registry with the tags a, b, c and d, whose images have the digests of that letter. */
function world() {
  const events: NewBootEvent[] = [];
  const distrusted = new Set<Digest>();
  const known = ['a', 'b', 'c', 'd'];
  const service = new ChannelService({
    store: new MemoryChannelStore(),
    registry: {
      resolveTag: (_repository, tag) => Promise.resolve(known.includes(tag) ? aDigest(tag) : undefined),
      findManifest: (repository, digest) =>
        Promise.resolve(known.includes(digest.at(-1)!) ? aRecord(repository, digest) : undefined),
    },
    collection: { holdCollection: (action) => action() },
    trust: {
      decide: (_name, digest) =>
        Promise.resolve(
          distrusted.has(digest) ? { kind: 'refused', reason: 'it has no signature' } : { kind: 'trusted' },
        ),
    },
    events: {
      recordNow: (event) => {
        events.push(event);
        return Promise.resolve();
      },
    },
    clock: { now: () => NOON },
  });
  const promote = (channel: string, to: string) => {
    const [repository = '', name = ''] = channel.split('@');
    return service.promote({ repository, channel: name, to: parseImageReference(to)!, by: 'eve', note: 'why' });
  };
  const rollback = () => service.rollback({ repository: 'fleet/os', channel: 'stable', by: 'eve', note: 'bad' });
  const remove = () => service.remove({ repository: 'fleet/os', channel: 'stable', by: 'eve', note: 'over' });
  return { service, events, distrusted, known, promote, rollback, remove };
}

function aRecord(repository: string, digest: Digest): ManifestRecord {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  return { repository, digest, mediaType, sizeBytes: 1, annotations: {}, references: [], createdAt: NOON };
}
