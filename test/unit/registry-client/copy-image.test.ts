import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copyImage, registrySource } from '../../../src/registry-client/copy-image.ts';
import { RegistryClient } from '../../../src/registry-client/registry-client.ts';
import { FakeRegistry, IMPATIENT } from './fake-registry.ts';

const LAYERS = [randomBytes(400_000), randomBytes(300_000), randomBytes(200_000)];
let source: FakeRegistry;
let target: FakeRegistry;
let clients: { from: RegistryClient; to: RegistryClient };

beforeEach(async () => {
  [source, target] = await Promise.all([FakeRegistry.start(), FakeRegistry.start()]);
  const [from, to] = [source, target].map(({ url }) => new RegistryClient({ url, ...IMPATIENT }));
  clients = { from: from!, to: to! };
});
afterEach(async () => {
  await Promise.all([clients.from.close(), clients.to.close()]);
  await Promise.all([source.stop(), target.stop()]);
});

const copy = (reference: string, options: object = {}) =>
  copyImage(
    registrySource(clients.from, 'fleet/os', reference),
    { client: clients.to, repository: 'rack/os', tag: 'v1' },
    options,
  );

function anIndex() {
  const images = ['amd64', 'arm64'].map((architecture, position) => ({
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: source.addImage('fleet/os', undefined, [LAYERS[position]!, LAYERS[2]!], { annotations: { architecture } }),
    size: 1,
    platform: { os: 'linux', architecture },
  }));
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  return {
    images,
    digest: source.addManifest('fleet/os', 'multi', { schemaVersion: 2, mediaType, manifests: images }),
  };
}

describe('copyImage', () => {
  it('copies byte for byte, the manifest last', async () => {
    const digest = source.addImage('fleet/os', 'v7', LAYERS);
    const heard = new Map<string, number>();
    const onProgress = (progress: { digest: string; bytes: number }) => heard.set(progress.digest, progress.bytes);
    expect(await copy('v7', { onProgress })).toMatchObject({ digest, blobsPushed: 4, blobsSkipped: 0 });
    expect(target.manifests.get('rack/os v1')).toEqual(source.manifests.get('fleet/os v7'));
    for (const [key, content] of source.blobs)
      expect(target.blobs.get(key.replace('fleet/', 'rack/'))?.equals(content)).toBe(true);
    expect(target.lines('PUT').at(-1)).toBe('/v2/rack/os/manifests/v1');
    expect([...heard.values()].sort((a, b) => b - a).slice(0, 3)).toEqual([400_000, 300_000, 200_000]);
  });

  it('sends of a second image only what is new', async () => {
    source.addImage('fleet/os', 'v7', LAYERS);
    await copy('v7');
    source.addImage('fleet/os', 'v8', [...LAYERS, Buffer.from('new')]);
    expect(await copy('v8')).toMatchObject({ blobsPushed: 2, blobsSkipped: 3 });
  });

  it('copies a whole index, shared layers once', async () => {
    const { digest } = anIndex();
    expect(await copy('multi')).toMatchObject({ digest, blobsPushed: 4 });
    expect([...target.manifests.keys()].filter((key) => key.includes('sha256'))).toHaveLength(3);
  });

  it('copies the image of one platform alone, where asked', async () => {
    const { images } = anIndex();
    const platform = { os: 'linux', architecture: 'arm64' };
    expect(await copy('multi', { platform })).toMatchObject({ digest: images[1]!.digest, blobsPushed: 3 });
    await expect(copy('multi', { platform: { os: 'plan9', architecture: 'mips' } })).rejects.toThrow(
      'it has linux/amd64, linux/arm64',
    );
  });

  it('says so where the source has no such image', async () => {
    await expect(copy('none')).rejects.toMatchObject({ reason: 'not-found' });
  });

  it('leaves no name behind where a layer is missing at the source', async () => {
    source.addImage('fleet/os', 'v7', LAYERS);
    const [key] = [...source.blobs].find(([, content]) => content === LAYERS[1])!;
    source.blobs.delete(key);
    await expect(copy('v7')).rejects.toMatchObject({ reason: 'not-found' });
    expect(target.manifests.size).toBe(0);
  });

  it('never stores a layer whose bytes were changed on the way', async () => {
    source.addImage('fleet/os', 'v7', LAYERS);
    const [key] = [...source.blobs].find(([, content]) => content === LAYERS[1])!;
    source.blobs.set(key, Buffer.alloc(300_000));
    await expect(copy('v7')).rejects.toMatchObject({ reason: 'digest-mismatch' });
    expect(target.manifests.size).toBe(0);
  });
});
