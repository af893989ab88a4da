// The client against a registry that misbehaves.
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RegistryClient } from '../../../src/registry-client/registry-client.ts';
import { FakeRegistry, IMPATIENT, sha256Digest } from './fake-registry.ts';

const BIG = randomBytes(3_000_000);
const ADA = { username: 'ada', password: 'secret' };
let registry: FakeRegistry;
const clients: RegistryClient[] = [];

beforeEach(async () => {
  registry = await FakeRegistry.start();
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await registry.stop();
});

function client(options: object = {}): RegistryClient {
  const made = new RegistryClient({ url: registry.url, ...IMPATIENT, ...options });
  clients.push(made);
  return made;
}

async function bytesOf(stream: Readable | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const open = (content: Buffer) => (start: number) =>
  Readable.from([content.subarray(start)].filter((part) => part.length > 0));

describe('pulling a blob', () => {
  it('gives its bytes', async () => {
    const digest = registry.addBlob('fleet/os', BIG);
    const found = await client().pullBlob('fleet/os', digest);
    expect(found?.sizeBytes).toBe(BIG.length);
    expect((await bytesOf(found?.content)).equals(BIG)).toBe(true);
  });

  it('says so where there is none', async () => {
    expect(await client().pullBlob('fleet/os', sha256Digest('x'))).toBeUndefined();
  });

  it('goes on by Range where connections break (RFC 9110 §14.2)', async () => {
    const digest = registry.addBlob('fleet/os', BIG);
    registry.breakAfter = { bytes: 900_000, times: 3 };
    const found = await client().pullBlob('fleet/os', digest);
    expect((await bytesOf(found?.content)).equals(BIG)).toBe(true);
    expect(registry.requests.filter(({ headers }) => headers.range !== undefined)).toHaveLength(3);
  });

  it('goes on also where the registry does not know Range', async () => {
    const digest = registry.addBlob('fleet/os', BIG);
    Object.assign(registry, { breakAfter: { bytes: 2_000_000, times: 2 }, ignoreRange: true });
    const found = await client().pullBlob('fleet/os', digest);
    expect((await bytesOf(found?.content)).equals(BIG)).toBe(true);
  });

  it('gives up where a connection breaks again and again without progress', async () => {
    const digest = registry.addBlob('fleet/os', BIG);
    registry.breakAfter = { bytes: 10, times: 1000 };
    const found = await client().pullBlob('fleet/os', digest);
    await expect(bytesOf(found?.content)).rejects.toMatchObject({ reason: 'unreachable' });
  });

  it('never comes to its end with bytes that do not have the digest', async () => {
    const digest = sha256Digest('other');
    registry.blobs.set(`fleet/os ${digest}`, BIG);
    const found = await client().pullBlob('fleet/os', digest);
    let received = 0;
    found?.content.on('data', (chunk: Buffer) => (received += chunk.length));
    await expect(
      new Promise((resolve, reject) => found?.content.once('error', reject).once('end', resolve)),
    ).rejects.toMatchObject({ reason: 'digest-mismatch' });
    expect(received).toBeLessThan(BIG.length);
  });

  it('refuses one that is larger than it may be', async () => {
    const digest = registry.addBlob('fleet/os', BIG);
    await expect(client().pullBlob('fleet/os', digest, { limitBytes: 1000 })).rejects.toMatchObject({
      reason: 'too-large',
    });
  });

  it('follows to another host without the credentials', async () => {
    const other = await FakeRegistry.start();
    const digest = other.addBlob('bucket', BIG);
    registry.auth = 'basic';
    registry.fault = (request, response) => {
      if (!request.url?.includes('/blobs/') || request.headers.authorization === undefined) return false;
      response.writeHead(307, { location: `${other.url}/v2/bucket/blobs/${digest}` }).end();
      return true;
    };
    const found = await client({ credentials: ADA }).pullBlob('fleet/os', digest);
    expect((await bytesOf(found?.content)).equals(BIG)).toBe(true);
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    await other.stop();
  });

  it.each(['file:///etc/passwd', 'http://[', ''])('does not follow to %j', async (location) => {
    registry.fault = (_request, response) => {
      response.writeHead(307, { location: location === '' ? '?again' : location }).end();
      return true;
    };
    await expect(client().pullBlob('fleet/os', sha256Digest('x'))).rejects.toMatchObject({ reason: 'invalid-answer' });
  });
});

describe('pulling a manifest', () => {
  it('gives its bytes, type and digest', async () => {
    const digest = registry.addImage('fleet/os', 'v1', [BIG]);
    const { mediaType, content } = registry.manifests.get('fleet/os v1')!;
    expect(await client().pullManifest('fleet/os', 'v1')).toEqual({ digest, mediaType, content });
    expect(await client().headManifest('fleet/os', 'v1')).toEqual({ digest });
    expect(await client().pullManifest('fleet/os', 'v2')).toBeUndefined();
    expect(await client().headManifest('fleet/os', 'v2')).toBeUndefined();
  });

  it('refuses bytes that do not have the digest that was asked for', async () => {
    registry.addImage('fleet/os', 'v1', [BIG]);
    const wrong = sha256Digest('wrong');
    registry.manifests.set(`fleet/os ${wrong}`, registry.manifests.get('fleet/os v1')!);
    await expect(client().pullManifest('fleet/os', wrong)).rejects.toMatchObject({ reason: 'digest-mismatch' });
  });

  it('refuses one without end', async () => {
    registry.manifests.set('fleet/os huge', { mediaType: 'x/y', content: Buffer.alloc(9 * 1024 * 1024) });
    await expect(client().pullManifest('fleet/os', 'huge')).rejects.toMatchObject({ reason: 'too-large' });
  });
});

describe('credentials', () => {
  it('go as Basic where the registry asks so, and then at once', async () => {
    registry.auth = 'basic';
    registry.addImage('fleet/os', 'v1', [BIG]);
    const ada = client({ credentials: ADA });
    await ada.headManifest('fleet/os', 'v1');
    await ada.headManifest('fleet/os', 'v1');
    expect(registry.requests).toHaveLength(3);
  });

  it('buy a token for each scope, which is used until its end', async () => {
    registry.auth = 'token';
    registry.addImage('fleet/os', 'v1', [BIG]);
    const time = { now: () => 1000 };
    const ada = client({ credentials: ADA, clock: time });
    await ada.headManifest('fleet/os', 'v1');
    await ada.headManifest('fleet/os', 'v1');
    time.now = () => 1000 + 61_000;
    await ada.headManifest('fleet/os', 'v1');
    const asked = registry.lines('GET');
    expect(asked).toEqual(Array(2).fill('/token?service=fake&scope=repository%3Afleet%2Fos%3Apull'));
  });

  it('that are wrong or missing are said to be so', async () => {
    for (const auth of ['basic', 'token'] as const) {
      registry.auth = auth;
      for (const options of [{}, { credentials: { username: 'ada', password: 'wrong' } }])
        await expect(client(options).headManifest('fleet/os', 'v1')).rejects.toMatchObject({ reason: 'unauthorised' });
    }
  });
});

describe('a registry in trouble', () => {
  it('is asked again, as late as it wants', async () => {
    const pauses: number[] = [];
    const scheduler = {
      after: (milliseconds: number, action: () => void) => {
        pauses.push(milliseconds);
        setImmediate(action);
        return () => undefined;
      },
    };
    const answers = [429, 503];
    registry.fault = (_request, response) => {
      const status = answers.shift();
      if (status !== undefined) response.writeHead(status, status === 429 ? { 'retry-after': '7' } : {}).end();
      return status !== undefined;
    };
    registry.addImage('fleet/os', 'v1', []);
    expect(await client({ scheduler }).pullManifest('fleet/os', 'v1')).toBeDefined();
    expect(pauses).toEqual([7000, 1000]);
  });

  it('is given up in the end', async () => {
    registry.fault = (_request, response) => {
      response.writeHead(500).end();
      return true;
    };
    await expect(client().headManifest('fleet/os', 'v1')).rejects.toMatchObject({ reason: 'unavailable' });
    expect(registry.requests).toHaveLength(4);
    await expect(client({ url: 'http://127.0.0.1:1' }).headManifest('fleet/os', 'v1')).rejects.toMatchObject({
      reason: 'unreachable',
    });
  });
});

describe('pushing a blob', () => {
  const digest = sha256Digest(BIG);
  const push = (made: RegistryClient, more: object = {}) =>
    made.pushBlob('fleet/os', { digest, sizeBytes: BIG.length, open: open(BIG), ...more });

  it('sends a small one in one request', async () => {
    expect(await push(client())).toBe('pushed');
    expect(registry.blobs.get(`fleet/os ${digest}`)?.equals(BIG)).toBe(true);
    expect(registry.requests.map(({ line }) => line.split(' ')[0])).toEqual(['HEAD', 'POST', 'PUT']);
  });

  it('sends a large one in pieces, with the bytes that have gone', async () => {
    const heard: number[] = [];
    expect(await push(client(), { chunkBytes: 1_000_000, onProgress: (bytes: number) => heard.push(bytes) })).toBe(
      'pushed',
    );
    expect(registry.lines('PATCH')).toHaveLength(3);
    expect(registry.blobs.get(`fleet/os ${digest}`)?.equals(BIG)).toBe(true);
    expect(heard.at(-1)).toBe(BIG.length);
  });

  it('sends the empty blob too', async () => {
    const empty = sha256Digest('');
    await client().pushBlob('fleet/os', { digest: empty, sizeBytes: 0, open: open(Buffer.alloc(0)) });
    expect(registry.blobs.get(`fleet/os ${empty}`)?.length).toBe(0);
  });

  it('sends nothing that is there', async () => {
    registry.addBlob('fleet/os', BIG);
    expect(await push(client())).toBe('exists');
    expect(registry.lines('PUT')).toEqual([]);
  });

  it('goes on where the registry stands when a connection broke', async () => {
    registry.breakAfter = { bytes: 300_000, times: 3 };
    const starts: number[] = [];
    const counted = (start: number) => {
      starts.push(start);
      return open(BIG)(start);
    };
    expect(await push(client(), { chunkBytes: 1_000_000, open: counted })).toBe('pushed');
    expect(registry.blobs.get(`fleet/os ${digest}`)?.equals(BIG)).toBe(true);
    expect(starts).toEqual([0, 300_000, 600_000, 900_000]);
  });

  it('begins anew where the registry forgot the upload', async () => {
    let forgotten = false;
    registry.fault = (request, response) => {
      if (request.method !== 'PATCH' || forgotten) return false;
      forgotten = true;
      response.destroy();
      return true;
    };
    expect(await push(client(), { chunkBytes: 1_000_000 })).toBe('pushed');
    expect(registry.lines('POST')).toHaveLength(2);
  });

  it('fails as its source fails', async () => {
    const failing = () => Readable.from(failingSource(), { objectMode: false });
    await expect(push(client(), { open: failing })).rejects.toThrow('the disk is gone');
  });

  it('says what the registry says', async () => {
    await expect(push(client(), { open: open(Buffer.alloc(BIG.length)) })).rejects.toThrow(
      'DIGEST_INVALID other bytes',
    );
  });

  it('gets a token that is good for a push', async () => {
    registry.auth = 'token';
    await push(client({ credentials: ADA }));
    const scope = new URL(registry.lines('GET')[0]!, registry.url).searchParams.getAll('scope');
    expect(scope).toEqual(['repository:fleet/os:pull,push']);
  });
});

async function* failingSource(): AsyncGenerator<Buffer> {
  yield await Promise.resolve(BIG.subarray(0, 1000));
  throw new Error('the disk is gone');
}

describe('lists', () => {
  it('of tags are followed from page to page', async () => {
    for (const tag of ['a', 'b', 'c', 'd', 'e']) registry.addImage('fleet/os', tag, []);
    expect(await client().listTags('fleet/os')).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('of referrers come from the referrers tag where the registry is older than 1.1', async () => {
    const subject = registry.addImage('fleet/os', 'v1', []);
    const one = { mediaType: 'a/b', digest: sha256Digest('one'), size: 3, artifactType: 'x/signature' };
    registry.addManifest('fleet/os', subject.replace(':', '-'), {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [one, { ...one, digest: sha256Digest('two'), artifactType: 'x/other' }],
    });
    expect(await client().listReferrers('fleet/os', subject, 'x/signature')).toEqual([one]);
    expect(await client().listReferrers('fleet/os', sha256Digest('none'))).toEqual([]);
  });
});
