// The DHCP server over fake sockets: which packets are answered, from which socket, to where, and what goes on record.
import { pino } from 'pino';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { BootPort } from '../../../src/boot/identify-client.ts';
import { decodePacket, encodePacket, type DhcpPacket } from '../../../src/protocol/dhcp/packet.ts';
import { MessageType, OptionCode } from '../../../src/protocol/dhcp/option-codes.ts';
import { DhcpServer } from '../../../src/servers/dhcp-server.ts';
import { aDiscover, firmwareOptions } from '../../support/boot-builders.ts';
import { FakeUdpNetwork } from '../../support/fake-udp.ts';
import { aServiceWorld } from '../../support/service-world.ts';

const INTERFACES = [
  { name: 'eno1', address: '192.0.2.1' },
  { name: 'eno2', address: '198.51.100.1' },
];
const NOBODY = { address: '0.0.0.0', port: 68 };

async function aServer(port: BootPort = 67, world = aServiceWorld()) {
  const network = new FakeUdpNetwork();
  const server = new DhcpServer({
    port,
    bindPort: port,
    interfaces: INTERFACES,
    openSocket: network.open,
    machines: world.machines,
    sessions: world.sessions,
    events: world.events,
    clock: world.clock,
    logger: pino({ level: 'silent' }),
    policy: { loaders: { 'x64-uefi': 'snponly.efi', 'x86-bios': 'undionly.kpxe' }, uefiStrategy: '4011' },
    httpPort: () => 8080,
  });
  await server.start();
  const hear = async (packet: DhcpPacket | Uint8Array, from = NOBODY, on = 0) => {
    const socket = network.sockets[on]!;
    const before = socket.sent.length;
    socket.hear(packet instanceof Uint8Array ? packet : encodePacket(packet), from);
    for (let turn = 0; turn < 50; turn += 1) await nextTurn();
    return socket.sent.slice(before).map(({ bytes, to }) => ({ packet: decodePacket(bytes), to }));
  };
  return { server, network, world, hear };
}

describe('DhcpServer', () => {
  it('has a socket for each interface, and shares 67 but not 4011, where unicast reaches only one', async () => {
    const { network } = await aServer(67);
    expect(network.sockets.map(({ options }) => options)).toMatchObject([
      { port: 67, interfaceName: 'eno1', broadcast: true, reuseAddress: true },
      { port: 67, interfaceName: 'eno2', broadcast: true, reuseAddress: true },
    ]);
    const other = await aServer(4011);
    expect(other.network.sockets[0]?.options).toMatchObject({ port: 4011, reuseAddress: false });
  });

  it('answers by the interface that was asked, with its address, to all (RFC 2131 §4.1)', async () => {
    const { hear } = await aServer();
    const [answer, ...others] = await hear(aDiscover(), NOBODY, 1);
    expect(others).toEqual([]);
    expect(answer).toMatchObject({ to: { address: '255.255.255.255', port: 68 }, packet: { siaddr: '198.51.100.1' } });
  });

  it('answers on 4011 to the address and port that asked (EDK2, PxeBcDhcp4.c)', async () => {
    const { hear } = await aServer(4011);
    const request = aDiscover([[OptionCode.MessageType, Uint8Array.of(MessageType.Request)]], { ciaddr: '192.0.2.50' });
    const [answer] = await hear(request, { address: '192.0.2.50', port: 4011 });
    expect(answer?.to).toEqual({ address: '192.0.2.50', port: 4011 });
  });

  it('is silent to a retired machine and to what is not asking to boot, and says why on record or by count', async () => {
    const { hear, world, server } = await aServer();
    await hear(aDiscover());
    await world.machines.retire('52:54:00:0a:0b:0c', 'admin');
    expect(await hear(aDiscover())).toEqual([]);
    expect((await world.recorded()).at(-1)).toMatchObject({ kind: 'dhcp-silence' });
    const plain = firmwareOptions(7).map(([code]) => [code, undefined] as const);
    expect(await hear(aDiscover([...plain, [OptionCode.ClientMachineIdentifier, undefined]]))).toEqual([]);
    expect(server.dropped.get('not-a-boot-client')).toBe(1);
  });

  it('names the architecture that it has no loader for, and answers nothing', async () => {
    const { hear, world } = await aServer();
    expect(await hear(aDiscover(firmwareOptions(27)))).toEqual([]);
    expect((await world.recorded()).at(-1)).toMatchObject({
      kind: 'dhcp-no-loader',
      details: { architecture: 'riscv64-uefi', architectureNumber: 27 },
    });
  });

  it('keeps the secret of the path out of the record', async () => {
    const { hear, world } = await aServer();
    const [answer] = await hear(aDiscover([[OptionCode.UserClass, Buffer.from('iPXE')]]));
    const url = Buffer.from(answer?.packet.options.get(OptionCode.BootFileName) ?? []).toString();
    const [, token = ''] = /\/boot\/([^/]+)\//.exec(url) ?? [];
    expect(token).toHaveLength(22);
    expect(JSON.stringify(await world.recorded())).not.toContain(token);
  });

  it('gives one machine 60 answers a minute, and others theirs', async () => {
    const { hear, server } = await aServer();
    let answers = 0;
    for (let count = 0; count < 70; count += 1) answers += (await hear(aDiscover())).length;
    expect(answers).toBe(60);
    expect(server.dropped.get('too-many-requests')).toBe(10);
    expect(await hear(aDiscover([], { chaddr: Uint8Array.of(2, 0, 0, 0, 0, 9) }))).toHaveLength(1);
  });

  it('passes over what is no DHCP packet at all', async () => {
    const { hear, server } = await aServer();
    for (const datagram of [new Uint8Array(), new Uint8Array(300), Buffer.from('GET / HTTP/1.1\r\n')])
      expect(await hear(datagram)).toEqual([]);
    expect(server.dropped.get('malformed')).toBe(3);
  });

  it('closes all sockets again when one cannot be opened', async () => {
    const { network, server } = await aServer();
    await server.stop();
    expect(network.sockets.every(({ closed }) => closed)).toBe(true);
    network.failNextWith = new Error('taken');
    await expect(server.start()).rejects.toThrow('taken');
  });
});
