import { describe, expect, it } from 'vitest';
import { decodePacket } from '../../../src/protocol/tftp/decode-packet.ts';
import { encodePacket } from '../../../src/protocol/tftp/encode-packet.ts';
import type { TftpPacket } from '../../../src/protocol/tftp/packet.ts';
import type { SocketAddress } from '../../../src/platform/udp-socket.ts';
import { TftpServer } from '../../../src/servers/tftp-server.ts';
import type { TftpListenAddress, TftpServerOptions, TftpTransferReport } from '../../../src/servers/tftp-server.ts';
import { FakeUdpNetwork, ManualScheduler } from '../../support/fake-udp.ts';
import { aRequest } from '../../support/tftp-builders.ts';

const client: SocketAddress = { address: '192.0.2.7', port: 2070 };
const content = Buffer.from(Array.from({ length: 6000 }, (_, index) => index % 251));

/** A started server on a fake network, serving `content` under the name loader.efi. */
async function aServer(changes: Partial<TftpServerOptions> = {}, at: TftpListenAddress = { address: '192.0.2.1' }) {
  const network = new FakeUdpNetwork();
  const scheduler = new ManualScheduler();
  const reports: TftpTransferReport[] = [];
  const server = new TftpServer({
    port: 69,
    openFile: (name) =>
      Promise.resolve(name === 'loader.efi' ? { kind: 'bytes', bytes: content } : { reason: 'not-found' }),
    openSocket: network.open,
    clock: scheduler,
    scheduler,
    random: { bytes: () => Uint8Array.of(127) },
    logger: { debug: () => undefined, warn: () => undefined },
    onTransfer: (report) => reports.push(report),
    ...changes,
  });
  await server.start([at]);
  const listener = network.sockets[0]!;
  const settle = async (): Promise<void> => {
    await new Promise(setImmediate);
  };
  return {
    server,
    network,
    scheduler,
    reports,
    listener,
    settle,
    ask: async (packet: TftpPacket = aRequest(), from = client): Promise<void> => {
      listener.hear(encodePacket(packet), from);
      await settle();
    },
    /** The socket of the nth transfer. */
    transfer: (index = 0) => {
      const socket = network.sockets[1 + index]!;
      return {
        socket,
        sent: () => socket.sent.map(({ bytes }) => decodePacket(bytes)),
        hear: (packet: TftpPacket, from = client) => {
          socket.hear(encodePacket(packet), from);
        },
      };
    },
  };
}

const ack = (block: number): TftpPacket => ({ kind: 'ack', block });

describe('TftpServer', () => {
  it('serves a file from a socket of its own, bound to the address that was asked and connected to the client', async () => {
    const { ask, transfer, reports } = await aServer();
    await ask(aRequest({ blksize: '1468', windowsize: '4', tsize: '0' }));
    const { socket, sent, hear } = transfer();
    expect(socket).toMatchObject({
      connectedTo: client,
      options: { address: '192.0.2.1', port: 0, segmentSize: 1472 },
    });
    expect(sent()).toEqual([
      {
        kind: 'option-ack',
        options: new Map([
          ['blksize', '1468'],
          ['windowsize', '4'],
          ['tsize', '6000'],
        ]),
      },
    ]);
    hear(ack(0));
    hear(ack(4));
    hear(ack(5));
    const blocks = sent().slice(1);
    expect(blocks.map((packet) => packet.kind === 'data' && packet.block)).toEqual([1, 2, 3, 4, 5]);
    const received = Buffer.concat(blocks.map((packet) => (packet.kind === 'data' ? packet.payload : [])) as Buffer[]);
    expect(received.equals(content)).toBe(true);
    expect(socket.closed).toBe(true);
    expect(reports).toEqual([
      expect.objectContaining({ name: 'loader.efi', peer: client, outcome: 'completed', bytes: 6000 }),
    ]);
  });

  it('answers a missing name at once with error 1 and a fixed text (iPXE, shim and the Raspberry Pi stall on silence)', async () => {
    const { ask, listener, reports } = await aServer();
    await ask(aRequest({}, { name: '/etc/no\nsuch' }));
    expect(listener.sent).toEqual([
      { bytes: Buffer.from(encodePacket({ kind: 'error', code: 1, message: 'File not found' })), to: client },
    ]);
    expect(reports).toEqual([expect.objectContaining({ outcome: 'not-found', name: 'etc/no\\u000asuch' })]);
  });

  it('reports the size probe of EDK2 as a probe, and serves the second request', async () => {
    const { ask, transfer, reports } = await aServer();
    await ask(aRequest({ tsize: '0', blksize: '1468', windowsize: '4' }));
    transfer(0).hear({ kind: 'error', code: 8, message: 'User aborted the transfer' });
    await ask(aRequest({ blksize: '1468', windowsize: '4' }));
    expect(reports).toEqual([expect.objectContaining({ outcome: 'probed', bytes: 0 })]);
    expect(transfer(1).sent()).toEqual([
      expect.objectContaining({ options: new Map([['blksize', '1468'], ['windowsize', '4']]) }), // prettier-ignore
    ]);
  });

  it('answers a repeated request of the same port from the same session', async () => {
    const { ask, transfer, network } = await aServer();
    await ask();
    await ask();
    expect(network.sockets).toHaveLength(2);
    expect(transfer().sent()).toHaveLength(2);
  });

  it('begins anew for another request from the same port, as firmware with a fixed port sends it', async () => {
    const { ask, transfer, reports } = await aServer();
    await ask(aRequest({ tsize: '0' }));
    await ask(aRequest({}));
    expect(transfer(0).socket.closed).toBe(true);
    expect(transfer(1).sent()[0]).toMatchObject({ kind: 'data', block: 1 });
    expect(reports).toEqual([expect.objectContaining({ outcome: 'aborted', reason: 'client began anew' })]);
  });

  it('begins anew for the same request once the client has fallen silent in the middle', async () => {
    const { ask, transfer, scheduler } = await aServer();
    await ask();
    transfer(0).hear(ack(1));
    await ask();
    expect(transfer(0).socket.closed).toBe(false);
    scheduler.advance(1500);
    await ask();
    expect(transfer(0).socket.closed).toBe(true);
    expect(transfer(1).sent()[0]).toMatchObject({ block: 1 });
  });

  it('sends the last packet again on the timer, and gives up after half a minute', async () => {
    const { ask, transfer, scheduler, reports } = await aServer();
    await ask();
    transfer().hear(ack(1));
    scheduler.advance(1100);
    expect(transfer().sent()).toHaveLength(3);
    scheduler.advance(40_000);
    expect(transfer().sent()).toHaveLength(7);
    expect(reports).toEqual([expect.objectContaining({ outcome: 'timed-out', bytes: 512 })]);
    expect(scheduler.pending).toBe(0);
  });

  it('tells a stranger that reached the socket before it was connected error 5, and goes on (RFC 1350 §4)', async () => {
    const { ask, transfer, listener } = await aServer();
    await ask();
    const stranger = { address: '192.0.2.66', port: 4444 };
    transfer().hear({ kind: 'error', code: 0, message: 'die' }, stranger);
    expect(listener.sent).toEqual([expect.objectContaining({ to: stranger })]);
    expect(decodePacket(listener.sent[0]!.bytes)).toMatchObject({ kind: 'error', code: 5 });
    transfer().hear(ack(1));
    expect(transfer().sent().at(-1)).toMatchObject({ block: 2 });
  });

  it('goes on block by block where the kernel refuses to segment', async () => {
    const { ask, transfer } = await aServer();
    await ask(aRequest({ windowsize: '4' }));
    transfer().hear(ack(0));
    transfer().socket.fail('EIO');
    expect(transfer().socket.segmenting).toBe(false);
    expect(transfer().sent().slice(-4)).toMatchObject([{ block: 1 }, { block: 2 }, { block: 3 }, { block: 4 }]);
  });

  it('ends when the client has closed its port, and takes no other socket error for an end', async () => {
    const { ask, transfer, reports } = await aServer();
    await ask();
    transfer().hear(ack(1));
    transfer().socket.fail('ENOBUFS');
    expect(reports).toEqual([]);
    transfer().socket.fail('ECONNREFUSED');
    expect(reports).toEqual([expect.objectContaining({ outcome: 'aborted', reason: 'client port is closed' })]);
  });

  it('reports a file that cannot be read as failed and tells the client no details', async () => {
    const { ask, listener, reports } = await aServer({
      openFile: () => Promise.reject(new Error('/var/lib/secret/path: EIO')),
    });
    await ask();
    expect(decodePacket(listener.sent[0]!.bytes)).toEqual({ kind: 'error', code: 0, message: 'Server failure' });
    expect(reports).toEqual([expect.objectContaining({ outcome: 'failed' })]);
  });

  it('lets what is over the limits wait, and serves it when a slot is free', async () => {
    const { ask, transfer, network } = await aServer({ limits: { sessionsPerAddress: 1 } });
    await ask(aRequest(), { ...client, port: 3001 });
    await ask(aRequest(), { ...client, port: 3002 });
    expect(network.sockets).toHaveLength(2);
    await ask(aRequest(), { address: '192.0.2.8', port: 3001 });
    expect(network.sockets).toHaveLength(3);
    transfer(0).hear({ kind: 'error', code: 0, message: '' }, { ...client, port: 3001 });
    await new Promise(setImmediate);
    expect(transfer(2).socket.connectedTo).toEqual({ ...client, port: 3002 });
  });

  it('forgets a client that waits in the queue and stops asking', async () => {
    const { ask, scheduler, reports } = await aServer({ limits: { sessions: 1 } });
    await ask(aRequest(), { ...client, port: 3001 });
    await ask(aRequest(), { ...client, port: 3002 });
    scheduler.advance(16_000);
    expect(reports).toEqual([expect.objectContaining({ outcome: 'timed-out', peer: { ...client, port: 3002 } })]);
  });

  it('drops requests silently once the queue is full as well', async () => {
    const { ask, listener, network } = await aServer({ limits: { sessions: 1, queueLength: 0 } });
    await ask(aRequest(), { ...client, port: 3001 });
    await ask(aRequest(), { ...client, port: 3002 });
    expect(network.sockets).toHaveLength(2);
    expect(listener.sent).toEqual([]);
  });

  it('ends a transfer that lasts longer than any may', async () => {
    const { ask, transfer, scheduler, reports } = await aServer({ limits: { transferMilliseconds: 10_000 } });
    await ask();
    for (let block = 1; block <= 11; block++) {
      scheduler.advance(950);
      transfer().hear(ack(block));
    }
    expect(reports).toEqual([expect.objectContaining({ outcome: 'aborted' })]);
  });

  it.each([
    [{ address: '192.0.2.1' }, '1468'],
    [{ address: '192.0.2.1', mtu: 9000 }, '8968'],
    [{ address: '2001:db8::1', mtu: 1500 }, '1448'],
    [{ address: '127.0.0.1', mtu: 65_536 }, '9000'],
  ])('keeps a DATA packet inside the MTU of %o', async (at, blksize) => {
    const { ask, transfer } = await aServer({}, at);
    await ask(aRequest({ blksize: '9000' }));
    expect(transfer().sent()[0]).toMatchObject({ options: new Map([['blksize', blksize]]) });
  });

  it('binds all addresses or none', async () => {
    const { server, network } = await aServer();
    await server.stop();
    const before = network.sockets.length;
    const started = server.start([{ address: '192.0.2.1' }, { address: '192.0.2.2' }]);
    network.failNextWith = new Error('taken');
    await expect(started).rejects.toThrow('taken');
    expect(network.sockets.slice(before).every(({ closed }) => closed)).toBe(true);
    expect(server.addresses).toEqual([]);
  });

  it('tells the clients when it stops, and stops once however often it is asked', async () => {
    const { server, ask, transfer, reports, listener } = await aServer();
    await ask();
    await Promise.all([server.stop(), server.stop()]);
    await server.stop();
    expect(transfer().sent().at(-1)).toMatchObject({ kind: 'error', code: 0 });
    expect(reports).toEqual([expect.objectContaining({ outcome: 'aborted', reason: 'server is stopping' })]);
    expect([transfer().socket.closed, listener.closed]).toEqual([true, true]);
  });

  it('passes over what is not TFTP, what needs no answer, and reserved ports', async () => {
    const { listener, ask, network } = await aServer();
    listener.hear(Buffer.from([0]), client);
    listener.hear(Buffer.alloc(0), client);
    await ask({ kind: 'error', code: 0, message: '' });
    await ask(aRequest(), { ...client, port: 53 });
    expect(listener.sent).toEqual([]);
    expect(network.sockets).toHaveLength(1);
  });

  it('outlives whoever listens to its reports', async () => {
    const { ask, transfer } = await aServer({
      onTransfer: () => {
        throw new Error('defect');
      },
    });
    await ask();
    transfer().hear({ kind: 'error', code: 0, message: '' });
    await ask(aRequest({}, { name: 'missing' }));
    await ask();
    expect(transfer(1).sent()).toHaveLength(1);
  });

  it('refuses to write with error 2', async () => {
    const { ask, listener } = await aServer();
    await ask(aRequest({}, { kind: 'write-request' }));
    expect(decodePacket(listener.sent[0]!.bytes)).toMatchObject({ kind: 'error', code: 2 });
  });
});
