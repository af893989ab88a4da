// The same bytes read and written by another implementation, the npm package `dhcp`.

import { readdirSync, readFileSync } from 'node:fs';
import npmOptions from 'dhcp/lib/options.js';
import npmProtocol from 'dhcp/lib/protocol.js';
import { describe, expect, it } from 'vitest';
import { encodeReply } from '../../../../src/boot/build-reply.ts';
import { decideOffer } from '../../../../src/boot/decide-offer.ts';
import { bytesFromText, textFromBytes } from '../../../../src/protocol/bytes.ts';
import { OptionCode } from '../../../../src/protocol/dhcp/option-codes.ts';
import { decodePacket, type DhcpPacket } from '../../../../src/protocol/dhcp/packet.ts';
import { macAddressFromBytes } from '../../../../src/protocol/mac-address.ts';
import { aClient, aDiscover, aPolicy, SERVER_ADDRESS } from '../../../support/boot-builders.ts';
import { readUdpDatagrams } from '../../../support/pcap.ts';

// It prints about options that it has no type for, and reads no option as bytes: give it the ones of netboot, as hex.
for (const code of [43, 55, 61, 77, 82, 93, 94, 97, 175])
  npmOptions.opts[code] = { name: `option ${code}`, type: 'Hex' };

function npmDecode(bytes: Uint8Array) {
  return npmProtocol.parse(Buffer.from(bytes));
}

/** Our value in the other implementation's words. */
function inNpmWords(packet: DhcpPacket) {
  const options = Object.fromEntries(
    Array.from(packet.options, ([code, value]) => [code, optionInNpmWords(npmOptions.opts[code]?.type ?? '?', value)]),
  );
  const chaddr = (macAddressFromBytes(packet.chaddr) ?? '').replaceAll(':', '-').toUpperCase();
  return { ...packet, hlen: packet.chaddr.length, magicCookie: 0x63825363, chaddr, options };
}

function optionInNpmWords(type: string, value: Uint8Array): unknown {
  switch (type) {
    case 'Hex':
      return Buffer.from(value).toString('hex');
    case 'ASCII':
    case 'UTF8':
      return textFromBytes(value).replace(/\0.*$/s, '');
    case 'IP':
      return value.join('.');
    case 'IPs':
      return Array.from({ length: value.length / 4 }, (_, index) => value.subarray(index * 4, index * 4 + 4).join('.'));
    default:
      return Number(`0x${Buffer.from(value).toString('hex')}`);
  }
}

describe('our codec beside the npm package dhcp', () => {
  it('reads every captured DHCPv4 packet alike', () => {
    const captures = new URL('../../../golden/captures/', import.meta.url);
    const payloads = readdirSync(captures)
      .flatMap((file) => readUdpDatagrams(readFileSync(new URL(file, captures))))
      .filter(({ family, destination }) => family === 4 && [67, 68, 4011].includes(destination.port))
      .map(({ payload }) => payload);
    expect(payloads.length).toBeGreaterThan(130);
    for (const payload of payloads) expect(inNpmWords(decodePacket(payload))).toEqual(npmDecode(payload));
  });

  it('writes an answer that the other one reads', () => {
    const decision = decideOffer(aClient(), aPolicy({ uefiStrategy: 'direct' }));
    if (decision.kind !== 'offer') throw new Error(decision.kind);
    const bytes = encodeReply(aDiscover([[OptionCode.ClientIdentifier, Uint8Array.of(1, 2, 3)]]), decision.reply);
    expect(npmDecode(bytes)).toMatchObject({
      op: 2,
      xid: 0x1234abcd,
      siaddr: SERVER_ADDRESS,
      sname: SERVER_ADDRESS,
      file: 'snponly.efi',
      chaddr: '52-54-00-0A-0B-0C',
      options: {
        53: 2,
        54: SERVER_ADDRESS,
        60: 'PXEClient',
        61: '010203',
        66: SERVER_ADDRESS,
        67: 'snponly.efi',
        43: '0601080a0400505845ff',
      },
    });
  });

  it('reads a DISCOVER that the other one wrote, though shorter than 300 bytes', () => {
    const written = npmProtocol.format({
      op: 1,
      htype: 1,
      hlen: 6,
      hops: 0,
      xid: 7,
      secs: 0,
      flags: 0,
      ciaddr: '0.0.0.0',
      yiaddr: '0.0.0.0',
      siaddr: '0.0.0.0',
      giaddr: '0.0.0.0',
      chaddr: '52:54:00:0a:0b:0c',
      sname: '',
      file: '',
      options: { 57: 1500, 53: 1, 60: 'PXEClient:Arch:00007:UNDI:003000' },
    });
    const bytes = new Uint8Array(written._data.subarray(0, written._w));
    expect(bytes.length).toBeLessThan(300);
    expect(decodePacket(bytes)).toMatchObject({
      op: 1,
      xid: 7,
      chaddr: Uint8Array.of(0x52, 0x54, 0x00, 0x0a, 0x0b, 0x0c),
      options: new Map([
        [OptionCode.MessageType, Uint8Array.of(1)],
        [OptionCode.MaximumMessageSize, Uint8Array.of(0x05, 0xdc)],
        [OptionCode.VendorClass, bytesFromText('PXEClient:Arch:00007:UNDI:003000')],
      ]),
    });
  });
});
