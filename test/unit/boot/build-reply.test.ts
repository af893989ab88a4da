import { describe, expect, it } from 'vitest';
import { buildReply, encodeReply } from '../../../src/boot/build-reply.ts';
import type { OfferReply } from '../../../src/boot/decide-offer.ts';
import { bytesFromText } from '../../../src/protocol/bytes.ts';
import { OptionCode } from '../../../src/protocol/dhcp/option-codes.ts';
import { decodePacket } from '../../../src/protocol/dhcp/packet.ts';
import { aDiscover, SERVER_ADDRESS } from '../../support/boot-builders.ts';

function aReply(overrides: Partial<OfferReply> = {}): OfferReply {
  return {
    messageType: 'offer',
    serverAddress: SERVER_ADDRESS,
    vendorClass: 'PXEClient',
    bootFile: 'snponly.efi',
    vendorOptions: undefined,
    ...overrides,
  };
}

describe('buildReply', () => {
  it('copies what identifies the exchange and gives no address (RFC 2131 table 3)', () => {
    const request = aDiscover([], { hops: 2, secs: 9, giaddr: '198.51.100.1', ciaddr: '192.0.2.77' });
    expect(buildReply(request, aReply())).toMatchObject({
      op: 2,
      htype: 1,
      hops: 0,
      secs: 0,
      xid: request.xid,
      flags: request.flags,
      chaddr: request.chaddr,
      giaddr: '198.51.100.1',
      ciaddr: '0.0.0.0',
      yiaddr: '0.0.0.0',
    });
  });

  it('keeps ciaddr in an ACK (RFC 2131 table 3)', () => {
    const reply = buildReply(aDiscover([], { ciaddr: '192.0.2.77' }), aReply({ messageType: 'ack' }));
    expect(reply.ciaddr).toBe('192.0.2.77');
    expect(reply.options.get(OptionCode.MessageType)).toEqual(Uint8Array.of(5));
  });

  it('names server and file in header and options: shim reads the header alone, EDK2 prefers option 67', () => {
    const { siaddr, sname, file, options } = buildReply(aDiscover(), aReply());
    expect({ siaddr, sname, file }).toEqual({ siaddr: SERVER_ADDRESS, sname: SERVER_ADDRESS, file: 'snponly.efi' });
    expect(Object.fromEntries(options)).toEqual({
      [OptionCode.MessageType]: Uint8Array.of(2),
      [OptionCode.ServerIdentifier]: Uint8Array.of(192, 0, 2, 1),
      [OptionCode.VendorClass]: bytesFromText('PXEClient'),
      [OptionCode.TftpServerName]: bytesFromText(SERVER_ADDRESS),
      [OptionCode.BootFileName]: bytesFromText('snponly.efi'),
      [OptionCode.ClientMachineIdentifier]: aDiscover().options.get(OptionCode.ClientMachineIdentifier),
    });
  });

  it('ends option 43 with 255', () => {
    const { options } = buildReply(aDiscover(), aReply({ vendorOptions: new Map([[6, Uint8Array.of(8)]]) }));
    expect(options.get(OptionCode.VendorSpecific)).toEqual(Uint8Array.of(6, 1, 8, 255));
  });

  it.each([
    ['97', 'RFC 4578 §2.3', OptionCode.ClientMachineIdentifier],
    ['61', 'RFC 6842 §3', OptionCode.ClientIdentifier],
    ['82', 'RFC 3046 §2.2', OptionCode.RelayAgentInformation],
  ])('echoes option %s as it came (%s)', (_name, _source, code) => {
    const value = Uint8Array.of(9, 1, 2);
    expect(buildReply(aDiscover([[code, value]]), aReply()).options.get(code)).toEqual(value);
    expect(buildReply(aDiscover([[code, undefined]]), aReply()).options.has(code)).toBe(false);
  });

  it('puts a URL of up to 127 characters in the header, a longer one in option 67 alone', () => {
    const fits = buildReply(aDiscover(), aReply({ bootFile: 'u'.repeat(127) }));
    expect(fits.file).toHaveLength(127);
    const long = buildReply(aDiscover(), aReply({ bootFile: 'u'.repeat(128) }));
    expect(long.file).toBe('');
    expect(long.options.get(OptionCode.BootFileName)).toHaveLength(128);
  });
});

describe('encodeReply', () => {
  const bulky = aReply({ bootFile: 'u'.repeat(200) });

  function lengthFor(maximumMessageSize: Uint8Array | undefined): number {
    const request = aDiscover([
      [OptionCode.MaximumMessageSize, maximumMessageSize],
      [OptionCode.ClientIdentifier, new Uint8Array(255)],
      [OptionCode.RelayAgentInformation, new Uint8Array(255)],
    ]);
    return encodeReply(request, bulky).length;
  }

  it('keeps to 576 bytes with IP and UDP headers when the client names no size (RFC 2132 §9.10)', () => {
    expect(lengthFor(undefined)).toBeLessThanOrEqual(576 - 28);
    expect(lengthFor(Uint8Array.of(0, 1))).toBeLessThanOrEqual(576 - 28);
  });

  it('uses what the client allows, up to one Ethernet frame', () => {
    expect(lengthFor(Uint8Array.of(0x05, 0xc0))).toBeGreaterThan(800);
    expect(lengthFor(Uint8Array.of(0xff, 0xff))).toBeLessThanOrEqual(1500 - 28);
  });

  it('writes a typical HTTP answer whole within 576 bytes', () => {
    const bootFile = `http://192.0.2.1:8080/b/${'t'.repeat(86)}/ipxe.efi`;
    const request = aDiscover([[OptionCode.MaximumMessageSize, undefined]]);
    const decoded = decodePacket(encodeReply(request, aReply({ vendorClass: 'HTTPClient', bootFile })));
    expect(decoded).toEqual(buildReply(request, aReply({ vendorClass: 'HTTPClient', bootFile })));
  });
});
