import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openUpstreams } from '../../../src/registry-client/open-upstreams.ts';
import { FakeRegistry, IMPATIENT } from './fake-registry.ts';

let folder: string;
let registry: FakeRegistry;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-upstreams-'));
  registry = await FakeRegistry.start();
});
afterAll(async () => {
  await registry.stop();
  await rm(folder, { recursive: true });
});

describe('openUpstreams', () => {
  it('reads the password of each, and asks as that user', async () => {
    const passwordFile = join(folder, 'password');
    await writeFile(passwordFile, 'secret\n');
    registry.auth = 'basic';
    const digest = registry.addImage('os', 'v1', []);
    const settings = [{ url: registry.url, prefix: 'hub', username: 'ada', passwordFile }];
    const opened = await openUpstreams(settings, { ...IMPATIENT, blobLimitBytes: 1000 });
    expect(opened.upstreams[0]?.prefix).toBe('hub');
    expect(await opened.upstreams[0]?.registry.resolve('os', 'v1')).toEqual({ kind: 'found', digest });
    await opened.close();
  });

  it('names the key of a file that cannot be read', async () => {
    const settings = [{ url: registry.url, prefix: '', username: 'ada', caFile: join(folder, 'absent') }];
    await expect(openUpstreams(settings, { ...IMPATIENT, blobLimitBytes: 1000 })).rejects.toMatchObject({
      code: 'invalid-settings',
      message: expect.stringContaining('images.upstream: caFile') as string,
    });
  });
});
