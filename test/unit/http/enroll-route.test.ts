import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../../src/errors.ts';
import { aCertificate, aMac, aMachineId, NOON } from '../../support/domain-builders.ts';
import { anHttpWorld, FORM } from './http-world.ts';

const TOKEN = { authorization: 'Bearer aaa.bbb.ccc' };
const LEAST = 'csr=CSR&mac=52:54:00:00:00:01';

function aWorld() {
  const world = anHttpWorld();
  const enroll = (payload: string, headers: Record<string, string> = TOKEN, remoteAddress = '192.0.2.9') =>
    world.api.inject({
      method: 'POST',
      url: '/api/v1/enroll',
      headers: { ...FORM, ...headers },
      payload,
      remoteAddress,
    });
  return { ...world, enroll };
}

describe('POST /api/v1/enroll', () => {
  it('answers 201 with the certificate, the id and the end of it in seconds', async () => {
    const { enroll, enrollment } = aWorld();
    const certificate = aCertificate({ notAfter: NOON + 1500 });
    enrollment.outcome = { kind: 'enrolled', machineId: aMachineId('m-1'), certificate, replayed: false };
    const answer = await enroll(LEAST);
    expect([answer.statusCode, answer.body]).toEqual([201, certificate.pem]);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/pem-certificate-chain',
      'cache-control': 'no-store',
      'x-muster-machine-id': 'm-1',
      'x-muster-not-after': String(NOON / 1000 + 1),
    });
  });

  it('hands everything that the form says to the service', async () => {
    const { enroll, enrollment } = aWorld();
    const fields = new URLSearchParams([
      ['csr', '-----BEGIN CERTIFICATE REQUEST-----\n+/=\n'],
      ['mac', '52-54-00-00-00-01'],
      ['mac', '525400000002'],
      ['mac', '00:00:00:00:fe:80:00:00'],
      ['uuid', '4C4C4544-0044-4A10-8054-B4C04F4E3132'],
      ['serial', ' SN1 '],
      ['vendor', 'Acme\u0000\u001b[31m\u202eInc'],
      ['product', ''],
      ['architecture', 'x86_64'],
      ['firmware', 'uefi'],
      ['cpu', 'Some CPU @ 2.0 GHz'],
      ['cpu_count', '8'],
      ['memory_bytes', '17179869184'],
      ['disk', 'sda,500107862016,Disk, Model 1'],
      ['disk', 'nvme0n1,1000'],
      ['disk', 'nonsense'],
    ]);
    await enroll(fields.toString(), TOKEN, '::ffff:192.0.2.9');
    const bonds = { uuid: '4c4c4544-0044-4a10-8054-b4c04f4e3132', serial: 'SN1' };
    expect(enrollment.requests).toEqual([
      {
        token: 'aaa.bbb.ccc',
        csrPem: '-----BEGIN CERTIFICATE REQUEST-----\n+/=\n',
        peerAddress: '192.0.2.9',
        candidate: { macs: [aMac(1), aMac(2)], ...bonds },
        facts: {
          ...bonds,
          macs: [aMac(1), aMac(2)],
          vendor: 'Acme  [31m Inc',
          architecture: 'x86_64',
          firmware: 'uefi',
          cpu: 'Some CPU @ 2.0 GHz',
          cpuCount: 8,
          memoryBytes: 17179869184,
          disks: [
            { name: 'sda', sizeBytes: 500107862016, model: 'Disk, Model 1' },
            { name: 'nvme0n1', sizeBytes: 1000 },
          ],
        },
      },
    ]);
  });

  it('takes facts that make no sense as unknown, as firmware tables hold anything', async () => {
    const { enroll, enrollment } = aWorld();
    await enroll(`${LEAST}&uuid=Not+Settable&cpu_count=many&firmware=coreboot&serial=a&serial=b`);
    expect(enrollment.requests[0]?.candidate).toEqual({ macs: [aMac(1)] });
    expect(enrollment.requests[0]?.facts).toEqual({ macs: [aMac(1)] });
  });

  it.each<[ErrorCode, number]>([
    ['csr-invalid', 400],
    ['token-malformed', 400],
    ['token-forged', 401],
    ['token-expired', 401],
    ['token-unknown', 401],
    ['token-wrong-audience', 401],
    ['token-wrong-machine', 403],
    ['token-revoked', 403],
    ['machine-retired', 403],
    ['machine-not-approved', 403],
    ['token-used', 409],
    ['storage-failure', 503],
  ])('says the refusal %s as %i in one line of plain text', async (code, status) => {
    const { enroll, enrollment } = aWorld();
    enrollment.outcome = { kind: 'refused', code, message: 'Why not.' };
    const answer = await enroll(LEAST);
    expect([answer.statusCode, answer.headers['content-type'], answer.body]).toEqual([
      status,
      'text/plain',
      `${code}: Why not.\n`,
    ]);
  });

  it.each([
    ['no csr', 'mac=52:54:00:00:00:01'],
    ['two csr', `${LEAST}&csr=again`],
    ['no mac', 'csr=CSR'],
    ['no good mac', 'csr=CSR&mac=nonsense'],
    ['too many fields', LEAST + '&x=1'.repeat(501)],
    ['a long csr', `csr=${'x'.repeat(8193)}&mac=52:54:00:00:00:01`],
  ])('refuses a form with %s as invalid-request before the service sees it', async (_name, payload) => {
    const { enroll, enrollment } = aWorld();
    const answer = await enroll(payload);
    expect([answer.statusCode, answer.body.split(':')[0]]).toEqual([400, 'invalid-request']);
    expect(enrollment.requests).toEqual([]);
  });

  it('refuses a body beyond the limit with 413', async () => {
    const { enroll } = aWorld();
    const answer = await enroll(`csr=${'x'.repeat(300_000)}`);
    expect([answer.statusCode, answer.body.split(':')[0]]).toEqual([413, 'payload-too-large']);
  });

  it.each([undefined, 'Basic YWJj', 'Bearer', 'Bearer a b'])(
    'asks for a token where Authorization is %s',
    async (value) => {
      const { enroll } = aWorld();
      const answer = await enroll(LEAST, value === undefined ? {} : { authorization: value });
      expect([answer.statusCode, answer.body.split(':')[0]]).toEqual([401, 'unauthorised']);
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="muster"');
    },
  );

  it('lets one address try ten times a minute, and tells when to come again', async () => {
    const { enroll } = aWorld();
    for (let tries = 0; tries < 10; tries += 1) expect((await enroll(LEAST)).statusCode).toBe(401);
    const answer = await enroll(LEAST);
    expect([answer.statusCode, answer.body.split(':')[0]]).toEqual([429, 'too-many-requests']);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect((await enroll(LEAST, TOKEN, '192.0.2.10')).statusCode).toBe(401);
  });

  it('counts the machines of one rack apart although they share an IPv6 /64', async () => {
    const { enroll } = aWorld();
    for (let tries = 0; tries < 11; tries += 1) await enroll(LEAST, TOKEN, '2001:db8::1');
    expect((await enroll(LEAST, TOKEN, '2001:db8::2')).statusCode).toBe(401);
  });
});
