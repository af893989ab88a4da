import { beforeEach, describe, expect, it } from 'vitest';
import type { ImageStore } from '../../src/images/image-store.ts';
import { aDigest, anImage } from '../support/domain-builders.ts';
import { STORE_ADAPTERS, storesOf } from './store-adapters.ts';

describe.each(STORE_ADAPTERS)('ImageStore ($name)', (adapter) => {
  const open = storesOf(adapter);
  let images: ImageStore;
  beforeEach(() => {
    ({ images } = open().stores);
  });

  it('gives back every property of an image', async () => {
    const image = anImage({ name: 'fleet/os', commandLine: ['console=ttyS0', 'quiet'] });
    await images.put(image);
    expect(await images.find('fleet/os')).toEqual(image);
    expect(await images.find('fleet')).toBeUndefined();
  });

  it('replaces the image of that name', async () => {
    await images.put(anImage());
    const newer = anImage({ kernel: { digest: aDigest('d'), sizeBytes: 1 }, commandLine: ['quiet'], createdAt: 1 });
    await images.put(newer);
    expect(await images.find('debian-12')).toEqual(newer);
    expect(await images.list()).toEqual([newer]);
  });

  it('lists by name', async () => {
    for (const name of ['debian-13', 'alpine', 'debian-12']) await images.put(anImage({ name }));
    expect((await images.list()).map(({ name }) => name)).toEqual(['alpine', 'debian-12', 'debian-13']);
  });

  it('removes an image and says whether there was one', async () => {
    await images.put(anImage());
    expect(await images.remove('debian-12')).toBe(true);
    expect(await images.remove('debian-12')).toBe(false);
    expect(await images.list()).toEqual([]);
  });
});
