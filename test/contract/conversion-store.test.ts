import { beforeEach, describe, expect, it } from 'vitest';
import type { Conversion } from '../../src/images/conversion/conversion.ts';
import type { ConversionStore } from '../../src/images/conversion/conversion-store.ts';
import { aConversion, aDigest, anImage, NOON } from '../support/domain-builders.ts';
import { STORE_ADAPTERS, storesOf } from './store-adapters.ts';

describe.each(STORE_ADAPTERS)('ConversionStore ($name)', (adapter) => {
  const open = storesOf(adapter);
  let conversions: ConversionStore;
  beforeEach(() => {
    ({ conversions } = open().stores);
  });

  const image = anImage({ kairos: { version: 'v4', flavor: 'hadron' }, commandLine: ['quiet'] });
  const states: readonly Conversion[] = [
    aConversion({ state: 'queued' }),
    aConversion({ state: 'converting', attempts: 2 }),
    aConversion({ state: 'ready', image, manifest: aDigest('e') }),
    aConversion({ state: 'refused', refusal: { code: 'no-kernel', detail: 'The image has no kernel. Fix: …' } }),
  ];

  it.each(states)('gives back every property of one that is $state', async (conversion) => {
    await conversions.put(conversion);
    expect(await conversions.find(conversion.repository, conversion.digest)).toEqual(conversion);
    expect(await conversions.find('other', conversion.digest)).toBeUndefined();
  });

  it('replaces the one of that repository and digest, with nothing left of its earlier state', async () => {
    for (const conversion of [...states, ...states.toReversed()]) {
      await conversions.put(conversion);
      expect(await conversions.list()).toEqual([conversion]);
    }
  });

  it('gives as the next the one that was queued first, whether it was begun or not', async () => {
    expect(await conversions.next()).toBeUndefined();
    await conversions.put(aConversion({ repository: 'c', queuedAt: NOON + 2 }));
    await conversions.put(aConversion({ repository: 'b', queuedAt: NOON + 1, state: 'converting' }));
    await conversions.put(
      aConversion({ repository: 'a', state: 'refused', refusal: { code: 'no-initrd', detail: '' } }),
    );
    expect(await conversions.next()).toMatchObject({ repository: 'b' });
    await conversions.put(aConversion({ repository: 'b', state: 'ready', image, manifest: aDigest('e') }));
    expect(await conversions.next()).toMatchObject({ repository: 'c' });
  });

  it('finds one that is ready by digest alone', async () => {
    await conversions.put(aConversion({ repository: 'a' }));
    expect(await conversions.findReady(aDigest('d'))).toBeUndefined();
    await conversions.put(aConversion({ repository: 'b', state: 'ready', image, manifest: aDigest('e') }));
    expect(await conversions.findReady(aDigest('d'))).toMatchObject({ repository: 'b' });
    expect(await conversions.findReady(aDigest('e'))).toBeUndefined();
  });

  it('lists by repository, the newest first', async () => {
    const names = ['b', 'a', 'a'];
    for (const [index, repository] of names.entries())
      await conversions.put(aConversion({ repository, digest: aDigest(String(index)), queuedAt: NOON + index }));
    expect((await conversions.list()).map(({ repository, queuedAt }) => [repository, queuedAt - NOON])).toEqual([
      ['a', 2],
      ['a', 1],
      ['b', 0],
    ]);
    expect(await conversions.list('b')).toHaveLength(1);
  });
});
