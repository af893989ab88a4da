import { describe, expect, it } from 'vitest';
import { decideTftpRequest, normaliseName, printableName } from '../../../src/boot/tftp-request.ts';
import { aRequest } from '../../support/tftp-builders.ts';

const client = { address: '192.0.2.7', port: 2070 };

describe('decideTftpRequest', () => {
  it('serves a read request in octet mode', () => {
    const request = aRequest();
    expect(decideTftpRequest(request, client)).toEqual({ kind: 'serve', request, name: 'loader.efi' });
  });

  it('refuses a write request with error 2 (RFC 1350 appendix: access violation)', () => {
    expect(decideTftpRequest(aRequest({}, { kind: 'write-request' }), client)).toMatchObject({
      kind: 'refuse',
      code: 2,
    });
  });

  it('refuses netascii, which would alter a loader, and mail, which is obsolete, with error 4', () => {
    for (const mode of ['netascii', 'mail'] as const) {
      expect(decideTftpRequest(aRequest({}, { mode }), client)).toMatchObject({ kind: 'refuse', code: 4 });
    }
  });

  it('answers an ACK or DATA without a transfer with error 5 (RFC 1350 §4), and an error with nothing', () => {
    expect(decideTftpRequest({ kind: 'ack', block: 1 }, client)).toMatchObject({ kind: 'refuse', code: 5 });
    expect(decideTftpRequest({ kind: 'error', code: 0, message: '' }, client)).toMatchObject({ kind: 'ignore' });
  });

  it('ignores port 0 and the ports of services that answer anything (no ping-pong between two servers)', () => {
    for (const port of [0, 7, 19, 53, 69, 123]) {
      expect(decideTftpRequest(aRequest(), { ...client, port })).toEqual({
        kind: 'ignore',
        reason: 'reserved-source-port',
      });
    }
  });

  it('ignores a sender without an address', () => {
    for (const address of ['0.0.0.0', '255.255.255.255']) {
      expect(decideTftpRequest(aRequest(), { ...client, address })).toMatchObject({ kind: 'ignore' });
    }
  });

  it('refuses a name that climbs as not found, so that nothing is learnt from it', () => {
    expect(decideTftpRequest(aRequest({}, { name: '../../etc/passwd' }), client)).toMatchObject({
      kind: 'refuse',
      code: 1,
    });
  });
});

describe('normaliseName', () => {
  it.each([
    ['boot\\x64\\wdsnbp.com', 'boot/x64/wdsnbp.com'],
    ['/grub/grub.cfg', 'grub/grub.cfg'],
    ['//grubx64.efi', 'grubx64.efi'],
    ['a//b/./c', 'a/b/c'],
    ['..foo', '..foo'],
    ['constructor', 'constructor'],
    ['/', undefined],
    ['a/../b', undefined],
    ['a\\..\\b', undefined],
  ])('%s becomes %s', (name, expected) => {
    expect(normaliseName(name)).toBe(expected);
  });
});

describe('printableName', () => {
  it('escapes what could forge or turn round a log line', () => {
    expect(printableName('a\nb\u001b[2J\u202e\u2028c\\')).toBe('a\\u000ab\\u001b[2J\\u202e\\u2028c\\\\');
    expect(printableName('grub/größe.cfg')).toBe('grub/größe.cfg');
  });
});
