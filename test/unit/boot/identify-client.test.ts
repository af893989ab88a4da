import { describe, expect, it } from 'vitest';
import { identifyClient, type Arrival, type BootPort } from '../../../src/boot/identify-client.ts';
import { bytesFromText } from '../../../src/protocol/bytes.ts';
import { OptionCode } from '../../../src/protocol/dhcp/option-codes.ts';
import { BootOp } from '../../../src/protocol/dhcp/packet.ts';
import { aDiscover, aMac, firmwareOptions, SERVER_ADDRESS } from '../../support/boot-builders.ts';

const { MessageType, ServerIdentifier, VendorSpecific, VendorClass, ClientArchitecture } = OptionCode;
const { ClientMachineIdentifier, UserClass, Etherboot } = OptionCode;

const US = Uint8Array.of(192, 0, 2, 1);
const ANOTHER_SERVER = Uint8Array.of(192, 0, 2, 2);
const DISCOVER = Uint8Array.of(1);
const REQUEST = Uint8Array.of(3);
const INFORM = Uint8Array.of(8);
const BOOT_ITEM = Uint8Array.of(71, 4, 0x80, 1, 0x80, 0, 255);

function at(port: BootPort): Arrival {
  return { port, ownAddresses: [SERVER_ADDRESS, '198.51.100.1'] };
}

function identify(options: Iterable<readonly [number, Uint8Array | undefined]>, port: BootPort = 67) {
  return identifyClient(aDiscover(options), at(port));
}

describe('identifyClient', () => {
  it('gathers the facts of an EDK2 DISCOVER', () => {
    expect(identifyClient(aDiscover(), at(67))).toEqual({
      kind: 'client',
      port: 67,
      messageType: 'discover',
      xid: 0x1234abcd,
      mac: aMac(),
      uuid: '01020304-0506-0708-090a-0b0c0d0e0f10',
      architecture: 'x64-uefi',
      alsoRuns: [],
      vendorClass: 'pxe',
      ipxe: undefined,
      bootItem: undefined,
    });
  });

  it('ignores replies (RFC 2131 §2, op)', () => {
    expect(identifyClient(aDiscover([], { op: BootOp.Reply }), at(67))).toMatchObject({ reason: 'not-a-request' });
  });

  it.each([
    ['DECLINE', Uint8Array.of(4)],
    ['RELEASE', Uint8Array.of(7)],
    ['a type of two bytes', Uint8Array.of(1, 1)],
    ['BOOTP, which has no type', undefined],
  ])('ignores %s', (_, type) => {
    expect(identify([[MessageType, type]])).toMatchObject({ reason: 'unwanted-message-type' });
  });

  it('ignores what has no Ethernet address, InfiniBand among it (RFC 4390 §2.1)', () => {
    expect(identifyClient(aDiscover([], { htype: 32, chaddr: new Uint8Array() }), at(67))).toMatchObject({
      reason: 'no-mac-address',
    });
  });

  it.each([{ giaddr: '127.0.0.1' }, { giaddr: '224.0.0.1' }, { ciaddr: '255.255.255.255' }])(
    'ignores %j, where an answer would hit ourselves or many',
    (header) => {
      expect(identifyClient(aDiscover([], header), at(67))).toMatchObject({ reason: 'bad-return-address' });
    },
  );

  it.each([
    ['an operating system', 'udhcp 1.35.0'],
    ['Apple BSDP', 'AAPLBSDPC/i386/iMac7,1'],
    ['a vendor class that is cut short', 'PXEClien'],
  ])('ignores %s', (_, vendorClass) => {
    const options = [[VendorClass, bytesFromText(vendorClass)] as const, [ClientArchitecture, undefined] as const];
    expect(identify(options)).toMatchObject({ kind: 'ignored', reason: 'not-a-boot-client' });
  });
});

describe('identifyClient of a REQUEST', () => {
  it('on 67 that names another server keeps out: the client takes its lease (RFC 2131 §3.1 step 3)', () => {
    expect(
      identify([
        [MessageType, REQUEST],
        [ServerIdentifier, ANOTHER_SERVER],
      ]),
    ).toMatchObject({
      reason: 'other-server-chosen',
    });
  });

  it('on 67 that names nobody keeps out: the client renews (RFC 2131 §4.3.2)', () => {
    expect(identify([[MessageType, REQUEST]])).toMatchObject({ reason: 'lease-request' });
  });

  it.each([US, Uint8Array.of(198, 51, 100, 1)])('on 67 that names one of our addresses is for us', (address) => {
    expect(
      identify([
        [MessageType, REQUEST],
        [ServerIdentifier, address],
      ]),
    ).toMatchObject({ messageType: 'request' });
  });

  it('on 67 for a boot menu item that names nobody is for us (PXE 2.1: broadcast discovery)', () => {
    expect(
      identify([
        [MessageType, REQUEST],
        [VendorSpecific, BOOT_ITEM],
      ]),
    ).toMatchObject({
      messageType: 'request',
      bootItem: Uint8Array.of(0x80, 1, 0x80, 0),
    });
  });

  it('on 67 for a boot menu item of another server is not', () => {
    const options = [[MessageType, REQUEST] as const, [VendorSpecific, BOOT_ITEM] as const];
    expect(identify([...options, [ServerIdentifier, ANOTHER_SERVER]])).toMatchObject({ reason: 'other-server-chosen' });
  });

  it.each([undefined, US, ANOTHER_SERVER])('on 4011 is for us whatever 54 says: it was sent to us', (address) => {
    expect(
      identify(
        [
          [MessageType, REQUEST],
          [ServerIdentifier, address],
        ],
        4011,
      ),
    ).toMatchObject({ kind: 'client', port: 4011 });
  });

  it('whose option 43 is another vendor’s has no boot item', () => {
    const options = [[MessageType, REQUEST] as const, [VendorSpecific, bytesFromText('what?')] as const];
    expect(identify(options, 4011)).toMatchObject({ kind: 'client', bootItem: undefined });
  });

  it('is not an INFORM, which asks for no lease (RFC 2131 §4.3.5)', () => {
    expect(identify([[MessageType, INFORM]])).toMatchObject({ kind: 'client', messageType: 'inform' });
  });
});

describe('identifyClient by architecture', () => {
  it('takes a list, best first (RFC 4578 §2.1)', () => {
    expect(identify([[ClientArchitecture, Uint8Array.of(0, 11, 0, 7, 1, 0)]])).toMatchObject({
      architecture: 'arm64-uefi',
      alsoRuns: ['x64-uefi', 'unknown'],
    });
  });

  it.each([undefined, Uint8Array.of(7), new Uint8Array()])(
    'reads it from option 60 when 93 is missing or broken, so that ARM is not sent an x86 file',
    (list) => {
      expect(identify([...firmwareOptions(11), [ClientArchitecture, list]])).toMatchObject({
        architecture: 'arm64-uefi',
      });
    },
  );

  it('does not guess BIOS when neither says', () => {
    expect(
      identify([
        [VendorClass, bytesFromText('PXEClient')],
        [ClientArchitecture, undefined],
      ]),
    ).toMatchObject({
      architecture: 'unknown',
    });
  });

  it('takes 93 alone for a boot client', () => {
    expect(identify([[VendorClass, undefined]])).toMatchObject({ architecture: 'x64-uefi', vendorClass: 'none' });
  });

  it.each(['b8:27:eb', 'dc:a6:32', 'e4:5f:01', '28:cd:c1', 'd8:3a:dd', '2c:cf:67'])(
    'knows a Raspberry Pi by %s, as its ROM says BIOS (raspberrypi/rpi-eeprom#182)',
    (block) => {
      const chaddr = Uint8Array.of(...Buffer.from(block.replaceAll(':', ''), 'hex'), 1, 2, 3);
      const bios = identifyClient(aDiscover(firmwareOptions(0), { chaddr }), at(67));
      const uefi = identifyClient(aDiscover(firmwareOptions(11), { chaddr }), at(67));
      expect([bios, uefi]).toMatchObject([{ architecture: 'arm-rpiboot' }, { architecture: 'arm64-uefi' }]);
    },
  );

  it('tells HTTP Boot and U-Boot by option 60', () => {
    expect(identify(firmwareOptions(16, 'HTTPClient'))).toMatchObject({
      architecture: 'x64-uefi-http',
      vendorClass: 'http',
    });
    expect(
      identify([
        [VendorClass, bytesFromText('U-Boot.armv8')],
        [ClientArchitecture, Uint8Array.of(0, 22)],
      ]),
    ).toMatchObject({
      architecture: 'arm64-uboot',
      vendorClass: 'uboot',
    });
  });
});

describe('identifyClient by UUID', () => {
  it.each([
    ['missing', undefined],
    ['all zeros, as QEMU sends without -uuid', new Uint8Array(17)],
    ['all ones, as boards without a UUID send', Uint8Array.of(0, ...new Uint8Array(16).fill(0xff))],
    ['of another type (RFC 4578 §2.3)', Uint8Array.of(1, ...new Uint8Array(16).fill(7))],
    ['too short', Uint8Array.of(0, 1, 2, 3)],
  ])('has none when it is %s', (_, value) => {
    expect(identify([[ClientMachineIdentifier, value]])).toMatchObject({ kind: 'client', uuid: undefined });
  });
});

describe('identifyClient of iPXE', () => {
  it.each([
    ['bare text, as iPXE sends it', bytesFromText('iPXE')],
    ['with a length before it, as RFC 3004 §4 asks', bytesFromText('\u0004iPXE')],
  ])('knows it by user class: %s', (_, userClass) => {
    expect(identify([[UserClass, userClass]])).toMatchObject({ ipxe: { features: undefined } });
  });

  it('knows it by option 175 and reads what the build can do', () => {
    const etherboot = Uint8Array.of(0xb1, 2, 1, 2, 0x13, 1, 1, 0x14, 1, 0, 0x24, 1, 1);
    expect(identify([[Etherboot, etherboot]])).toMatchObject({ ipxe: { features: new Set(['http', 'efi']) } });
  });

  it('takes a broken option 175 for a build whose features are not known', () => {
    expect(identify([[Etherboot, Uint8Array.of(0x13, 9)]])).toMatchObject({ ipxe: { features: undefined } });
  });

  it('does not take another user class for it', () => {
    expect(identify([[UserClass, bytesFromText('iPXEish')]])).toMatchObject({ ipxe: undefined });
    expect(identify([[MessageType, DISCOVER]])).toMatchObject({ ipxe: undefined });
  });
});
