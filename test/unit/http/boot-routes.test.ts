import { describe, expect, it } from 'vitest';
import type { ServedReport } from '../../../src/boot-sessions/boot-resource.ts';
import { parseDigest } from '../../../src/images/digest.ts';
import { sha256 } from '../../support/service-world.ts';
import { Readable } from 'node:stream';
import { anHttpWorld } from './http-world.ts';

const CONTENT = Buffer.from('0123456789abcdef');
const DIGEST = parseDigest(`sha256:${sha256(CONTENT)}`)!;
const ETAG = `"sha256-${sha256(CONTENT)}"`;

async function aBlobWorld() {
  const world = anHttpWorld();
  await world.blobs.put(DIGEST, Readable.from([CONTENT]), 100);
  const reports: ServedReport[] = [];
  world.boot.resourceToGive = {
    kind: 'blob',
    digest: DIGEST,
    sizeBytes: CONTENT.length,
    contentType: 'application/efi',
    onServed: (report) => reports.push(report),
  };
  const get = (headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') =>
    world.plain.inject({ method, url: '/boot/TokenA/ipxe.efi', headers });
  return { ...world, get, reports };
}

describe('GET /boot/<token>/<name>', () => {
  it('asks the boot service with token, name, method and the peer, and is case-sensitive', async () => {
    const { plain, boot } = anHttpWorld();
    await plain.inject({ method: 'HEAD', url: '/boot/aBcD/seed/user-data', remoteAddress: '::ffff:192.0.2.7' });
    expect(boot.requests).toEqual([
      { token: 'aBcD', name: 'seed/user-data', method: 'HEAD', peerAddress: '192.0.2.7' },
    ]);
    expect((await plain.inject('/BOOT/aBcD/boot.ipxe')).statusCode).toBe(404);
  });

  it.each(['//boot//aBcD//seed//user-data', '/boot/aBcD///seed/user-data'])(
    'takes the doubled slashes of GRUB and iPXE: %s',
    async (url) => {
      const { plain, boot } = anHttpWorld();
      await plain.inject(url);
      expect(boot.requests[0]).toMatchObject({ token: 'aBcD', name: 'seed/user-data' });
    },
  );

  it('is served by the API listener too', async () => {
    const { api, boot } = anHttpWorld();
    await api.inject('/boot/aBcD/boot.ipxe');
    expect(boot.requests).toHaveLength(1);
  });

  it.each([
    [404, 'not-found: gone\n'],
    [403, 'forbidden: gone\n'],
    [410, 'token-expired: gone\n'],
    [429, 'too-many-requests: gone\n'],
  ] as const)('says a refusal %i in one line of plain text', async (status, body) => {
    const { plain, boot } = anHttpWorld();
    boot.resourceToGive = { kind: 'refused', status, reason: 'gone' };
    const answer = await plain.inject('/boot/t/x');
    expect([answer.statusCode, answer.body, answer.headers['content-type']]).toEqual([status, body, 'text/plain']);
    expect(answer.headers['retry-after']).toBe(status === 429 ? '60' : undefined);
  });

  it('sends scripts with the very content type, uncached, and HEAD with the headers of GET (UEFI 2.10 §24.7.3)', async () => {
    const { plain, boot } = anHttpWorld();
    boot.resourceToGive = { kind: 'text', body: '#!ipxe\necho ü\n', contentType: 'text/plain' };
    const get = await plain.inject('/boot/t/boot.ipxe');
    const head = await plain.inject({ method: 'HEAD', url: '/boot/t/boot.ipxe' });
    expect(get.body).toBe('#!ipxe\necho ü\n');
    expect(get.headers).toMatchObject({
      'content-type': 'text/plain',
      'cache-control': 'no-store',
      'content-length': String(Buffer.byteLength(get.body)),
    });
    expect(head.body).toBe('');
    expect(withoutDate(head.headers)).toEqual(withoutDate(get.headers));
  });

  it('sends an empty file with length 0, as cloud-init wants for vendor-data', async () => {
    const { plain, boot } = anHttpWorld();
    boot.resourceToGive = { kind: 'text', body: '', contentType: 'text/plain' };
    const answer = await plain.inject('/boot/t/seed/vendor-data');
    expect([answer.statusCode, answer.headers['content-length']]).toEqual([200, '0']);
  });

  it('sends bytes as they are', async () => {
    const { plain, boot } = anHttpWorld();
    boot.resourceToGive = { kind: 'bytes', body: Uint8Array.of(0, 255, 10), contentType: 'application/octet-stream' };
    const answer = await plain.inject('/boot/t/token.cpio.gz');
    expect([...answer.rawPayload]).toEqual([0, 255, 10]);
    expect(answer.headers['content-type']).toBe('application/octet-stream');
  });
});

describe('a blob behind a boot path', () => {
  it('is sent whole with length, strong ETag, ranges offered and no charset (EDK2 compares the whole type)', async () => {
    const { get, reports } = await aBlobWorld();
    const answer = await get();
    expect(answer.rawPayload.equals(CONTENT)).toBe(true);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/efi',
      'content-length': '16',
      etag: ETAG,
      'accept-ranges': 'bytes',
    });
    await expect.poll(() => reports).toEqual([{ bytes: 16, durationMs: 0, complete: true }]);
  });

  it('answers HEAD with the headers of GET, even with a Range, and counts nothing as served (RFC 9110 §14.2)', async () => {
    const { get, reports } = await aBlobWorld();
    const head = await get({ range: 'bytes=0-3' }, 'HEAD');
    expect(reports).toEqual([]);
    expect(head.body).toBe('');
    expect(withoutDate(head.headers)).toEqual(withoutDate((await get()).headers));
  });

  it('serves a part as 206 with Content-Range', async () => {
    const { get, reports } = await aBlobWorld();
    const answer = await get({ range: 'bytes=4-7', 'if-match': ETAG });
    expect([answer.statusCode, answer.body]).toEqual([206, '4567']);
    expect(answer.headers).toMatchObject({ 'content-range': 'bytes 4-7/16', 'content-length': '4' });
    await expect.poll(() => reports).toEqual([{ bytes: 4, durationMs: 0, complete: true }]);
  });

  it.each([
    ['a range past the end', { range: 'bytes=16-' }, 416],
    ['a malformed range', { range: 'bytes=x' }, 416],
    ['several ranges', { range: 'bytes=0-1,4-5' }, 200],
    ['If-Match with another tag', { 'if-match': '"other"', range: 'bytes=0-1' }, 412],
    ['If-Match *', { 'if-match': '*' }, 200],
    ['If-None-Match with this tag', { 'if-none-match': `"x", ${ETAG}` }, 304],
    ['a weak If-None-Match with this tag', { 'if-none-match': `W/${ETAG}` }, 304],
    ['If-None-Match with another tag', { 'if-none-match': '"other"' }, 200],
    ['If-Range with this tag', { 'if-range': ETAG, range: 'bytes=0-1' }, 206],
    ['If-Range with another tag', { 'if-range': '"other"', range: 'bytes=0-1' }, 200],
    ['If-Range with a date', { 'if-range': 'Thu, 01 Jan 2026 00:00:00 GMT', range: 'bytes=0-1' }, 200],
    ['If-Unmodified-Since, as there is no date', { 'if-unmodified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' }, 200],
  ])('decides on %s as RFC 9110 §13.2.2 orders: %j → %i', async (_name, headers, status) => {
    const { get } = await aBlobWorld();
    const answer = await get(headers);
    expect(answer.statusCode).toBe(status);
    if (status === 416) expect(answer.headers['content-range']).toBe('bytes */16');
    if (status >= 300) expect(answer.body).toBe('');
  });
});

describe('the plain listener', () => {
  it('sends people to the API listener, and knows nothing else of it', async () => {
    const { plain } = anHttpWorld();
    const root = await plain.inject('/');
    expect([root.statusCode, root.headers.location]).toEqual([308, 'https://192.0.2.1:8443/']);
    expect((await plain.inject('/api/v1/machines')).statusCode).toBe(404);
    expect((await plain.inject({ method: 'POST', url: '/api/v1/enroll' })).statusCode).toBe(404);
  });

  it('serves the bytes of ca.pem and its health, to GET and HEAD', async () => {
    const { plain } = anHttpWorld();
    const ca = await plain.inject('/ca.pem');
    expect(ca.body).toBe('-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n');
    const health = await plain.inject('/healthz');
    expect([health.statusCode, health.json()]).toEqual([200, { status: 'ready', version: '1.2.3' }]);
    expect((await plain.inject({ method: 'HEAD', url: '/healthz' })).statusCode).toBe(200);
  });
});

describe('the log of requests', () => {
  it.each([
    '/boot/SecretToken/boot.ipxe',
    '//boot//SecretToken//seed/user-data',
    '/boot/SecretToken',
    '/boot/Secret%54oken/x',
    '/boot/SecretToken/x?SecretToken',
  ])('never holds more of a path token than four characters: %s', async (url) => {
    const { plain, logLines } = anHttpWorld();
    await plain.inject({ url, headers: { authorization: 'Bearer SecretHeader', cookie: 'a=SecretCookie' } });
    const log = logLines.join('');
    expect(log).toContain('"msg":"request"');
    expect(log).not.toMatch(/Secret|Header|Cookie/);
    expect(log).toMatch(/boot\/+Secr…/);
  });

  it.each(['/boot/SecretToken/%zz', `/boot/SecretToken${'x'.repeat(400)}/x`])(
    'holds nothing of a URL that no route can take: %s',
    async (url) => {
      const { plain, logLines } = anHttpWorld();
      expect((await plain.inject(url)).statusCode).toBeGreaterThanOrEqual(400);
      expect(logLines.join('')).not.toContain('Secret');
    },
  );

  it('escapes what a client wrote into a path, and cuts it', async () => {
    const { plain, logLines } = anHttpWorld();
    await plain.inject(`/a%0a\u001b[31m${'x'.repeat(1000)}`);
    const log = logLines.join('');
    expect(log).not.toContain('\u001b');
    expect(log.length).toBeLessThan(600);
  });
});

function withoutDate({ date: _date, ...headers }: Record<string, unknown>): Record<string, unknown> {
  return headers;
}
