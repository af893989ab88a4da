// Every DHCPv4 packet of the captures of real firmware: it decodes, survives a round trip, and gets the answer on record.
// The records are the .txt files here, one a capture; UPDATE_GOLDEN=1 writes them anew.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { encodeReply } from '../../../src/boot/build-reply.ts';
import { decideOffer, type OfferPolicy } from '../../../src/boot/decide-offer.ts';
import { identifyClient, type BootPort } from '../../../src/boot/identify-client.ts';
import { replyRoute } from '../../../src/boot/reply-route.ts';
import { textFromBytes } from '../../../src/protocol/bytes.ts';
import { decodeEncapsulatedOptions } from '../../../src/protocol/dhcp/encapsulated-options.ts';
import { OptionCode, PxeOption } from '../../../src/protocol/dhcp/option-codes.ts';
import { BootOp, decodePacket, encodePacket, type DhcpPacket } from '../../../src/protocol/dhcp/packet.ts';
import { readUdpDatagrams, type CapturedDatagram } from '../../support/pcap.ts';
import { describeClient, describePacket, describeRoute } from './describe.ts';

const CAPTURES = new URL('../captures/', import.meta.url);
const FILES = readdirSync(CAPTURES).filter((name) => name.endsWith('.pcap'));

/** The boot server of most captures; the others say below where it differed. */
const USUAL_SITE: OfferPolicy = {
  serverAddress: '10.77.0.3',
  bootAllowed: true,
  loaders: { 'x86-bios': 'undionly.kpxe', 'x64-uefi': 'snponly.efi', 'x64-uefi-http': 'ipxe.efi' },
  tftpPrefix: '',
  httpLoaderBase: 'http://10.77.0.3/',
  scriptUrl: 'http://10.77.0.3/boot.ipxe',
  uefiStrategy: '4011',
};
const OTHER_SITES: Readonly<Record<string, Partial<OfferPolicy>>> = {
  'ovmf-secboot-shim-grub-proxy-FAILS-wrong-siaddr.pcap': { loaders: { 'x64-uefi': 'shimx64.efi' } },
  'ovmf-x64-httpboot6-FAILS-no-option16.pcap': { loaders: { 'x64-uefi-http': 'nope.efi' } },
  'ovmf-x64-httpboot6-uki-ok.pcap': { loaders: { 'x64-uefi-http': 'nope.efi' } },
  'ovmf-x64-pxe6-ipxe-userclass-ok.pcap': { loaders: { 'x64-uefi-http': 'nope.efi' } },
  'ovmf-x64-pxe4-offer43-no4011-ra.pcap': { uefiStrategy: 'direct' },
  'ovmf-x64-pxe-direct.pcap': { serverAddress: '10.9.0.2', scriptUrl: 'script.ipxe', uefiStrategy: 'direct' },
  'seabios-ipxe-rom-4011.pcap': { serverAddress: '10.9.0.2', scriptUrl: 'script.ipxe' },
};

interface CapturedPacket {
  readonly datagram: CapturedDatagram;
  readonly packet: DhcpPacket;
}

function readDhcp(file: string): CapturedPacket[] {
  return readUdpDatagrams(readFileSync(new URL(file, CAPTURES)))
    .filter(({ family, destination }) => family === 4 && [67, 68, 4011].includes(destination.port))
    .map((datagram) => ({ datagram, packet: decodePacket(datagram.payload) }));
}

function siteOf(file: string): OfferPolicy {
  return { ...USUAL_SITE, ...OTHER_SITES[file] };
}

/** What Muster says to a captured request, in the words of the record. */
function answerLines({ datagram, packet }: CapturedPacket, policy: OfferPolicy): string[] {
  const port = portOf(datagram);
  const client = identifyClient(packet, { port, ownAddresses: [policy.serverAddress] });
  if (client.kind === 'ignored') return [`  silence: ${client.reason}`];
  const decision = decideOffer(client, policy);
  if (decision.kind === 'no-loader') return [describeClient(client), `  no loader for ${decision.architecture}`];
  if (decision.kind === 'silence') return [describeClient(client), `  silence: ${decision.reason}`];
  return [
    describeClient(client),
    `  answer by row ${decision.row}, ${describeRoute(replyRoute(packet, datagram.source, port))}`,
    ...describePacket(decodePacket(encodeReply(packet, decision.reply))),
  ];
}

function portOf(datagram: CapturedDatagram): BootPort {
  return datagram.destination.port === 4011 ? 4011 : 67;
}

function recordOf(file: string): string {
  const policy = siteOf(file);
  const lines = [`${file}: Muster at ${policy.serverAddress}, UEFI strategy ${policy.uefiStrategy}`];
  for (const captured of readDhcp(file)) {
    const { frame, source, destination } = captured.datagram;
    lines.push('', `frame ${frame}: ${source.address}:${source.port} to ${destination.address}:${destination.port}`);
    lines.push(...answerLines(captured, policy));
  }
  return `${lines.join('\n')}\n`;
}

describe.each(FILES)('%s', (file) => {
  it('decodes each DHCPv4 packet, and to the same value after encoding it again', () => {
    for (const { packet } of readDhcp(file)) expect(decodePacket(encodePacket(packet))).toEqual(packet);
  });

  it('gets the answers on record', () => {
    const golden = new URL(`${file.replace('.pcap', '')}.txt`, import.meta.url);
    const record = recordOf(file);
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(golden, record);
    expect(record).toBe(readFileSync(golden, 'utf8'));
  });

  it('gets from Muster what the boot server of the capture said and the firmware booted from', () => {
    const policy = siteOf(file);
    const packets = readDhcp(file);
    for (const [index, theirs] of packets.entries()) {
      if (theirs.packet.op !== BootOp.Reply || theirs.datagram.source.address !== policy.serverAddress) continue;
      const asked = packets
        .slice(0, index)
        .findLast(({ packet }) => packet.op === BootOp.Request && packet.xid === theirs.packet.xid);
      if (asked === undefined) throw new Error(`nobody asked for frame ${theirs.datagram.frame}`);
      expectSameOffer(asked, theirs.packet, policy);
    }
  });
});

/** One boot server ended these with a NUL; EDK2 and iPXE take them either way. */
const TEXT_OPTIONS: readonly number[] = [OptionCode.TftpServerName, OptionCode.BootFileName];

function expectSameOffer(asked: CapturedPacket, theirs: DhcpPacket, policy: OfferPolicy): void {
  const port = portOf(asked.datagram);
  const client = identifyClient(asked.packet, { port, ownAddresses: [policy.serverAddress] });
  if (client.kind === 'ignored') throw new Error(`frame ${asked.datagram.frame} ignored: ${client.reason}`);
  const decision = decideOffer(client, policy);
  if (decision.kind !== 'offer') throw new Error(`frame ${asked.datagram.frame}: ${decision.kind}`);
  const ours = decodePacket(encodeReply(asked.packet, decision.reply));

  for (const field of ['op', 'htype', 'xid', 'yiaddr', 'siaddr', 'giaddr', 'chaddr'] as const) {
    expect(ours[field], field).toEqual(theirs[field]);
  }
  if (theirs.file !== '') expect(ours.file).toBe(theirs.file);
  for (const [code, value] of theirs.options) {
    if (code === OptionCode.VendorSpecific) expectSameDiscoveryControl(ours.options.get(code), value);
    else if (TEXT_OPTIONS.includes(code))
      expect(textFromBytes(ours.options.get(code)!)).toBe(textFromBytes(value).replace(/\0$/, ''));
    else expect(ours.options.get(code), `option ${code}`).toEqual(value);
  }
}

/** The rest of option 43 is a prompt, which iPXE does not need. */
function expectSameDiscoveryControl(ours: Uint8Array | undefined, theirs: Uint8Array): void {
  const control = (value: Uint8Array | undefined) =>
    decodeEncapsulatedOptions(value ?? new Uint8Array()).get(PxeOption.DiscoveryControl);
  expect(control(ours)).toEqual(control(theirs));
}

describe('the captures together', () => {
  it('hold DHCPv6 and IPv6 4011 traffic too, which is not taken for DHCPv4', () => {
    const all = FILES.flatMap((file) => readUdpDatagrams(readFileSync(new URL(file, CAPTURES))));
    const v6 = all.filter(({ family, destination }) => family === 6 && [546, 547, 4011].includes(destination.port));
    expect(v6.length).toBeGreaterThan(50);
    for (const { payload } of v6) expect(() => decodePacket(payload)).toThrow(/at byte/);
  });

  it('hold at least 13 files and 130 DHCPv4 packets, so that nothing above passed for want of input', () => {
    expect(FILES.length).toBeGreaterThanOrEqual(13);
    expect(FILES.flatMap(readDhcp).length).toBeGreaterThanOrEqual(130);
  });
});
