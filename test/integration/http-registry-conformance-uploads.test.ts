// OCI distribution-spec 1.1, endpoint by endpoint in the numbers of its table: what each answers and how it fails. The cases are
// those of the spec's text and of its conformance program; nothing here knows how the registry keeps what it has. Push of blobs: end-4, end-5, end-6, end-11, end-13 and end-14.
import { beforeEach, describe, expect, it } from 'vitest';
import { aContent, digestOf, type Content } from '../support/oci-layout.ts';
import { aBlob, ALGORITHMS, codesOf, NOWHERE, OTHER, REPO, RegistryHttp } from '../support/registry-http.ts';
import { anHttpWorld, AS_ADMIN } from '../unit/http/http-world.ts';

let registry: RegistryHttp;

beforeEach(() => {
  registry = new RegistryHttp(anHttpWorld().api, AS_ADMIN);
});

describe('end-4a and 4c: POST of an upload', () => {
  it.each([{}, { 'digest-algorithm': 'sha256' }, { 'digest-algorithm': 'sha512' }])(
    'opens one, at an address without a host, with the least length of a chunk: %j',
    async (query) => {
      const headers = { host: 'evil.example', 'content-length': '0' };
      const answer = await registry.call('POST', `${REPO}/blobs/uploads/`, { query, headers });
      expect(answer.statusCode).toBe(202);
      expect(answer.headers.location).toMatch(/^\/v2\/fleet\/os\/blobs\/uploads\/[0-9a-f-]{36}$/);
      expect(answer.headers.range).toBe('0-0');
      expect(Number(answer.headers['oci-chunk-min-length'])).toBeGreaterThan(0);
      expect(answer.headers['docker-upload-uuid']).toBe(String(answer.headers.location).split('/').at(-1));
    },
  );

  it('answers 400 for an algorithm that it does not know, and for a name that cannot be', async () => {
    const query = { 'digest-algorithm': 'md5' };
    const unknown = await registry.call('POST', `${REPO}/blobs/uploads/`, { query });
    expect([unknown.statusCode, codesOf(unknown)]).toEqual([400, ['DIGEST_INVALID']]);
    const name = await registry.call('POST', 'Fleet/blobs/uploads/');
    expect([name.statusCode, codesOf(name)]).toEqual([400, ['NAME_INVALID']]);
  });
});

describe.each(ALGORITHMS)('end-4b: POST of a whole blob, %s', (algorithm) => {
  const post = (digest: string, payload: Buffer) =>
    registry.call('POST', `${REPO}/blobs/uploads/`, {
      query: { digest },
      payload,
      headers: { 'content-type': 'application/octet-stream' },
    });

  it('takes it at once', async () => {
    const blob = aBlob(5_000, algorithm);
    const answer = await post(blob.digest, blob.bytes);
    expect(answer.statusCode).toBe(201);
    expect(answer.headers).toMatchObject({
      location: `/v2/${REPO}/blobs/${blob.digest}`,
      'docker-content-digest': blob.digest,
    });
    await registry.expectBlob(blob);
  });

  it('answers 400 where bytes and digest differ, and has nothing of it', async () => {
    const blob = aBlob(5_000, algorithm);
    const answer = await post(blob.digest, Buffer.concat([blob.bytes, Buffer.from('oh no')]));
    expect([answer.statusCode, codesOf(answer)]).toEqual([400, ['DIGEST_INVALID']]);
    expect((await registry.call('HEAD', `${REPO}/blobs/${blob.digest}`)).statusCode).toBe(404);
  });
});

describe.each(ALGORITHMS)('end-5 and 6: chunks and the end of an upload, %s', (algorithm) => {
  const chunksOf = ({ bytes }: Content) => {
    const third = Math.ceil(bytes.length / 3);
    return [0, 1, 2].map((index) => {
      const start = index * third;
      const chunk = bytes.subarray(start, start + third);
      return { chunk, range: `${start}-${start + chunk.length - 1}`, end: start + chunk.length - 1 };
    });
  };

  it('takes a blob by POST and PUT', async () => {
    const blob = aBlob(4_000, algorithm);
    const answer = await registry.finish(await registry.start(REPO), blob.digest, blob.bytes);
    expect([answer.statusCode, answer.headers.location]).toEqual([201, `/v2/${REPO}/blobs/${blob.digest}`]);
    expect(answer.headers['docker-content-digest']).toBe(blob.digest);
    await registry.expectBlob(blob);
  });

  it.each(['', ' and the last of them with PUT'])('takes chunks in order%s', async (variant) => {
    const blob = aBlob(3_001, algorithm);
    let upload = await registry.start(REPO);
    const chunks = chunksOf(blob);
    const last = variant === '' ? undefined : chunks.pop();
    for (const { chunk, range, end } of chunks) {
      const answer = await registry.patch(upload, chunk, range);
      expect([answer.statusCode, answer.headers.range]).toEqual([202, `0-${end}`]);
      upload = String(answer.headers.location);
    }
    expect((await registry.finish(upload, blob.digest, last?.chunk, last?.range)).statusCode).toBe(201);
    await registry.expectBlob(blob);
  });

  it('takes a stream of unknown length', async () => {
    const blob = aBlob(70_000, algorithm);
    const upload = await registry.start(REPO);
    expect((await registry.patch(upload, blob.bytes)).statusCode).toBe(202);
    expect((await registry.finish(upload, blob.digest)).statusCode).toBe(201);
    await registry.expectBlob(blob);
  });

  it('answers 416 to a chunk out of order, says where to go on, and goes on there', async () => {
    const blob = aBlob(3_000, algorithm);
    const [first, second, third] = chunksOf(blob);
    const upload = await registry.start(REPO);
    const early = await registry.patch(upload, second!.chunk, second!.range);
    expect([early.statusCode, codesOf(early)]).toEqual([416, ['BLOB_UPLOAD_INVALID']]);
    expect(early.headers).toMatchObject({ location: upload, range: '0-0' });
    await registry.patch(upload, first!.chunk, first!.range);
    const again = await registry.patch(upload, first!.chunk, first!.range);
    expect([again.statusCode, again.headers.range]).toEqual([416, `0-${first!.end}`]);
    const put = await registry.finish(upload, blob.digest, third!.chunk, third!.range);
    expect([put.statusCode, put.headers.range]).toEqual([416, `0-${first!.end}`]);
    expect((await registry.patch(upload, second!.chunk, second!.range)).statusCode).toBe(202);
    expect((await registry.finish(upload, blob.digest, third!.chunk, third!.range)).statusCode).toBe(201);
    await registry.expectBlob(blob);
  });

  it('answers 400 where bytes and digest differ, however they came', async () => {
    const blob = aBlob(3_000, algorithm);
    const wrong = Buffer.concat([blob.bytes, Buffer.from('oh no')]);
    const whole = await registry.finish(await registry.start(REPO), blob.digest, wrong);
    const upload = await registry.start(REPO);
    await registry.patch(upload, wrong);
    for (const answer of [whole, await registry.finish(upload, blob.digest)])
      expect([answer.statusCode, codesOf(answer)]).toEqual([400, ['DIGEST_INVALID']]);
    expect((await registry.call('HEAD', `${REPO}/blobs/${blob.digest}`)).statusCode).toBe(404);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['empty JSON', Buffer.from('{}')],
  ])('takes the blob of %s', async (_name, bytes) => {
    const blob = aContent(bytes, undefined, algorithm);
    expect((await registry.finish(await registry.start(REPO), blob.digest, bytes)).statusCode).toBe(201);
    await registry.expectBlob(blob);
    expect((await registry.call('HEAD', `${REPO}/blobs/${blob.digest}`)).headers['content-length']).toBe(
      String(bytes.length),
    );
  });
});

describe('end-5 and 6: what is refused', () => {
  it.each(['bytes 0-9/10', '9-0', 'x-y', '0-', '-5'])('answers 400 to Content-Range: %s', async (range) => {
    const answer = await registry.patch(await registry.start(REPO), Buffer.alloc(10), range);
    expect([answer.statusCode, codesOf(answer)]).toEqual([400, ['BLOB_UPLOAD_INVALID']]);
  });

  it('answers 400 with SIZE_INVALID where Content-Range and Content-Length differ', async () => {
    const answer = await registry.patch(await registry.start(REPO), Buffer.alloc(10), '0-99');
    expect([answer.statusCode, codesOf(answer)]).toEqual([400, ['SIZE_INVALID']]);
  });

  it('answers 400 to a PUT without a digest or with none that it knows', async () => {
    const upload = await registry.start(REPO);
    const without = await registry.call('PUT', upload);
    expect([without.statusCode, codesOf(without)]).toEqual([400, ['DIGEST_INVALID']]);
    const strange = await registry.finish(upload, 'md5:d41d8cd98f00b204e9800998ecf8427e');
    expect([strange.statusCode, codesOf(strange)]).toEqual([400, ['DIGEST_INVALID']]);
  });

  it('answers 404 for an upload that is not there, in every method', async () => {
    const other = await registry.start(OTHER);
    const lost = [`${REPO}/blobs/uploads/${other.split('/').at(-1)}`, `${REPO}/blobs/uploads/nonsense`];
    for (const upload of lost) {
      for (const method of ['PATCH', 'GET', 'DELETE'] as const) {
        const answer = await registry.call(method, upload);
        expect([method, answer.statusCode, codesOf(answer)]).toEqual([method, 404, ['BLOB_UPLOAD_UNKNOWN']]);
      }
      expect((await registry.finish(`/v2/${upload}`, NOWHERE)).statusCode).toBe(404);
    }
  });

  it('answers 413 to a blob beyond the limit', async () => {
    const answer = await registry.patch(await registry.start(REPO), Buffer.alloc(1_000_001));
    expect([answer.statusCode, codesOf(answer)]).toEqual([413, ['SIZE_INVALID']]);
  });
});

describe('end-11: POST of a mount', () => {
  const mount = (query: Record<string, string>) => registry.call('POST', `${REPO}/blobs/uploads/`, { query });

  it.each(ALGORITHMS)('takes a blob over from another repository without its bytes: %s', async (algorithm) => {
    const blob = aBlob(2_000, algorithm);
    await registry.push(OTHER, blob);
    const answer = await mount({ mount: blob.digest, from: OTHER });
    expect([answer.statusCode, answer.headers.location]).toEqual([201, `/v2/${REPO}/blobs/${blob.digest}`]);
    expect(answer.headers['docker-content-digest']).toBe(blob.digest);
    await registry.expectBlob(blob);
  });

  it('finds it by itself without from', async () => {
    const blob = aBlob();
    await registry.push(OTHER, blob);
    expect((await mount({ mount: blob.digest })).statusCode).toBe(201);
    await registry.expectBlob(blob);
  });

  it.each([{ from: OTHER }, { from: 'no/such/place' }, {}])(
    'opens an upload where there is nothing to take over: %j',
    async (from) => {
      const blob = aBlob();
      const answer = await mount({ mount: blob.digest, ...from });
      expect(answer.statusCode).toBe(202);
      expect((await registry.finish(String(answer.headers.location), blob.digest, blob.bytes)).statusCode).toBe(201);
      await registry.expectBlob(blob);
    },
  );

  it('answers 400 to what is no digest', async () => {
    const answer = await mount({ mount: 'sha256:short', from: OTHER });
    expect([answer.statusCode, codesOf(answer)]).toEqual([400, ['DIGEST_INVALID']]);
  });
});

describe('end-13 and 14: GET and DELETE of an upload', () => {
  it('say how far it is', async () => {
    const upload = await registry.start(REPO);
    expect(await registry.call('GET', upload)).toMatchObject({ statusCode: 204, headers: { range: '0-0' } });
    await registry.patch(upload, Buffer.alloc(1_000));
    const answer = await registry.call('GET', upload);
    expect([answer.statusCode, answer.headers.range, answer.headers.location]).toEqual([204, '0-999', upload]);
  });

  it('cancel it, so that it is gone', async () => {
    const upload = await registry.start(REPO);
    await registry.patch(upload, Buffer.alloc(1_000));
    expect((await registry.call('DELETE', upload)).statusCode).toBe(204);
    expect((await registry.call('GET', upload)).statusCode).toBe(404);
    expect((await registry.finish(upload, digestOf(Buffer.alloc(1_000)))).statusCode).toBe(404);
  });
});
