import { describe, expect, it } from 'vitest';
import { architectureOfId } from '../../../src/boot/architecture.ts';
import { decideOffer } from '../../../src/boot/decide-offer.ts';
import { aClient, aPolicy, SERVER_ADDRESS } from '../../support/boot-builders.ts';

const HTTP_IPXE = { features: new Set(['http', 'tftp'] as const) };
const TFTP_IPXE = { features: new Set(['tftp'] as const) };

describe('decideOffer for BIOS', () => {
  const bios = aClient({ architecture: 'x86-bios' });

  it('names the file and has it used at once: option 43 is 06 01 08 (PXE 2.1, tag 6)', () => {
    expect(decideOffer(bios, aPolicy())).toEqual({
      kind: 'offer',
      row: 'bios-pxe',
      reply: {
        messageType: 'offer',
        serverAddress: SERVER_ADDRESS,
        vendorClass: 'PXEClient',
        bootFile: 'undionly.kpxe',
        vendorOptions: new Map([[6, Uint8Array.of(8)]]),
      },
    });
  });

  it('names the file again on 4011, where old ROMs and Supermicro X11 insist on asking (danderson/netboot#132)', () => {
    const asking = aClient({ architecture: 'x86-bios', port: 4011, messageType: 'request' });
    expect(decideOffer(asking, aPolicy())).toMatchObject({
      row: 'bios-pxe',
      reply: { messageType: 'ack', bootFile: 'undionly.kpxe', vendorOptions: undefined },
    });
  });
});

describe('decideOffer for UEFI PXE', () => {
  it('leaves option 43 out, so that EDK2 asks on 4011 (PxeBcDhcp4.c)', () => {
    expect(decideOffer(aClient(), aPolicy())).toMatchObject({
      kind: 'offer',
      row: 'uefi-pxe-4011',
      reply: { messageType: 'offer', vendorClass: 'PXEClient', bootFile: 'snponly.efi', vendorOptions: undefined },
    });
  });

  it('or has EDK2 use the offer at once: discovery control 8 and a prompt (PxeBcDhcp4.c)', () => {
    expect(decideOffer(aClient(), aPolicy({ uefiStrategy: 'direct' }))).toMatchObject({
      row: 'uefi-pxe-direct',
      reply: {
        vendorOptions: new Map([
          [6, Uint8Array.of(8)],
          [10, Uint8Array.of(0, 0x50, 0x58, 0x45)],
        ]),
      },
    });
  });

  it.each(['4011', 'direct'] as const)('answers on 4011 with an ACK under strategy %s', (uefiStrategy) => {
    const asking = aClient({ port: 4011, messageType: 'request' });
    expect(decideOffer(asking, aPolicy({ uefiStrategy }))).toMatchObject({
      kind: 'offer',
      reply: { messageType: 'ack', bootFile: 'snponly.efi', vendorOptions: undefined },
    });
  });

  it('names a menu item back, in layer 0 and without the credential bit (PXE 2.1, tag 71)', () => {
    const asking = aClient({ port: 4011, messageType: 'request', bootItem: Uint8Array.of(0x80, 1, 0x80, 3) });
    expect(decideOffer(asking, aPolicy())).toMatchObject({
      reply: { messageType: 'ack', vendorOptions: new Map([[71, Uint8Array.of(0x80, 1, 0, 0)]]) },
    });
  });

  it('treats 7 and 9 alike (errata of RFC 4578 §2.1)', () => {
    const policy = aPolicy();
    expect(decideOffer(aClient({ architecture: 'ebc-uefi' }), policy)).toEqual(decideOffer(aClient(), policy));
  });

  it('gives each architecture its own loader, under the prefix', () => {
    const decision = decideOffer(aClient({ architecture: 'arm64-uefi' }), aPolicy({ tftpPrefix: 'b/t0k3n/' }));
    expect(decision).toMatchObject({ reply: { bootFile: 'b/t0k3n/snponly-arm64.efi' } });
  });
});

describe('decideOffer for UEFI HTTP Boot', () => {
  const http = aClient({ architecture: 'x64-uefi-http', vendorClass: 'http' });

  it('says HTTPClient, names a URL and sends no option 43 (UEFI 2.10 §24.7; EDK2 HttpBootDhcp4.c)', () => {
    expect(decideOffer(http, aPolicy())).toMatchObject({
      row: 'uefi-http',
      reply: {
        vendorClass: 'HTTPClient',
        bootFile: `http://${SERVER_ADDRESS}/loaders/ipxe.efi`,
        vendorOptions: undefined,
      },
    });
  });

  it('does not give PXE’s loader to HTTP, nor HTTP’s to PXE', () => {
    expect(decideOffer(http, aPolicy({ loaders: { 'x64-uefi': 'snponly.efi' } }))).toEqual({
      kind: 'no-loader',
      architecture: 'x64-uefi-http',
    });
    expect(decideOffer(aClient(), aPolicy({ loaders: { 'x64-uefi-http': 'ipxe.efi' } }))).toEqual({
      kind: 'no-loader',
      architecture: 'x64-uefi',
    });
  });

  it('has nothing for BIOS by HTTP (20): no row, no loader', () => {
    const client = aClient({ architecture: 'x86-bios-http', vendorClass: 'http' });
    expect(decideOffer(client, aPolicy())).toMatchObject({ kind: 'no-loader' });
  });
});

describe('decideOffer for iPXE', () => {
  it.each(['x86-bios', 'x64-uefi', 'arm64-uefi', 's390-basic', 'unknown'] as const)(
    'gives the script, on whatever it runs: %s',
    (architecture) => {
      expect(decideOffer(aClient({ architecture, ipxe: HTTP_IPXE }), aPolicy())).toMatchObject({
        row: 'ipxe',
        reply: {
          vendorClass: 'PXEClient',
          bootFile: `http://${SERVER_ADDRESS}/boot.ipxe`,
          vendorOptions: new Map([[6, Uint8Array.of(8)]]),
        },
      });
    },
  );

  it('says PXEClient even to an iPXE that says HTTPClient (ipxe/ipxe#1527)', () => {
    const client = aClient({ architecture: 'x64-uefi-http', vendorClass: 'http', ipxe: HTTP_IPXE });
    expect(decideOffer(client, aPolicy())).toMatchObject({ row: 'ipxe', reply: { vendorClass: 'PXEClient' } });
  });

  it('gives a build without HTTP our own, by TFTP', () => {
    const client = aClient({ architecture: 'x86-bios', ipxe: TFTP_IPXE });
    expect(decideOffer(client, aPolicy())).toMatchObject({
      row: 'ipxe-without-http',
      reply: { bootFile: 'undionly.kpxe' },
    });
  });

  it('gives a build without HTTP the script when there is nothing better', () => {
    const client = aClient({ architecture: 'x86-bios', ipxe: TFTP_IPXE });
    expect(decideOffer(client, aPolicy({ loaders: {} }))).toMatchObject({ row: 'ipxe' });
    expect(decideOffer(client, aPolicy({ scriptUrl: 'tftp://192.0.2.1/boot.ipxe' }))).toMatchObject({ row: 'ipxe' });
  });

  it('does not doubt a build that lists no features', () => {
    expect(decideOffer(aClient({ ipxe: { features: undefined } }), aPolicy())).toMatchObject({ row: 'ipxe' });
  });
});

describe('decideOffer without an offer', () => {
  it('is silent when the machine may not boot, so that it goes on to its disk', () => {
    const policy = aPolicy({ bootAllowed: false });
    for (const client of [aClient(), aClient({ ipxe: HTTP_IPXE }), aClient({ architecture: 'unknown' })]) {
      expect(decideOffer(client, policy)).toEqual({ kind: 'silence', reason: 'boot-not-allowed' });
    }
  });

  it('names each architecture that has no loader', () => {
    for (let id = 0; id <= 42; id += 1) {
      const architecture = architectureOfId(id);
      for (const vendorClass of ['pxe', 'http', 'uboot', 'none'] as const) {
        const decision = decideOffer(aClient({ architecture, vendorClass }), aPolicy({ loaders: {} }));
        expect(decision).toEqual({ kind: 'no-loader', architecture });
      }
    }
  });

  it('goes down the client’s own list to the first architecture that it can serve (RFC 4578 §2.1)', () => {
    const client = aClient({ architecture: 'ia32-uefi', alsoRuns: ['x64-uefi', 'x86-bios'] });
    expect(decideOffer(client, aPolicy())).toMatchObject({ reply: { bootFile: 'snponly.efi' } });
    expect(decideOffer(client, aPolicy({ loaders: {} }))).toEqual({ kind: 'no-loader', architecture: 'ia32-uefi' });
  });
});
