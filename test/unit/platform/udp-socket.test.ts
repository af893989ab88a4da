import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.ts';
import { findPortHolder } from '../../../src/platform/port-holder.ts';
import { openUdpSocket } from '../../../src/platform/udp-socket.ts';
import type { UdpSocket, UdpSocketOptions } from '../../../src/platform/udp-socket.ts';

const open: UdpSocket[] = [];
const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
);
const isLinux = process.platform === 'linux';

async function aSocket(options: Partial<UdpSocketOptions> = {}): Promise<UdpSocket> {
  const socket = await openUdpSocket({ port: 0, address: '127.0.0.1', ...options });
  open.push(socket);
  return socket;
}

function nextMessage(socket: UdpSocket): Promise<string> {
  return new Promise((resolve) => {
    socket.onMessage((datagram) => {
      resolve(datagram.toString());
    });
  });
}

async function failureOf(options: UdpSocketOptions): Promise<AppError> {
  try {
    open.push(await openUdpSocket(options));
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('the socket opened');
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((socket) => socket.close()));
});

describe('openUdpSocket', () => {
  it.each([
    ['node:dgram', {}],
    ['libc', { segmentSize: 1000 }],
  ])('sends and receives on a socket made by %s', async (_by, options) => {
    const server = await aSocket(options);
    const client = await aSocket(options);
    const heard = nextMessage(server);
    client.send(Buffer.from('hello'), server.localAddress);
    expect(await heard).toBe('hello');
    const answered = nextMessage(client);
    await server.connect(client.localAddress);
    server.sendToPeer(Buffer.from('back'));
    expect(await answered).toBe('back');
  });

  it.runIf(isLinux)('hands one send to the kernel as many datagrams (UDP_SEGMENT)', async () => {
    const sender = await aSocket({ segmentSize: 4 });
    const receiver = await aSocket();
    expect(sender.segmenting).toBe(true);
    const heard: string[] = [];
    const all = new Promise<void>((resolve) => {
      receiver.onMessage((datagram) => {
        if (heard.push(datagram.toString()) === 4) resolve();
      });
    });
    await sender.connect(receiver.localAddress);
    sender.sendToPeer(Buffer.from('aaaabbbbcc'));
    sender.stopSegmenting();
    sender.sendToPeer(Buffer.from('ddddeeee'));
    await all;
    expect(heard).toEqual(['aaaa', 'bbbb', 'cc', 'ddddeeee']);
  });

  it.runIf(isLinux)('says that nobody listens at the peer any more (ICMP port unreachable)', async () => {
    const gone = await aSocket();
    const socket = await aSocket();
    await socket.connect(gone.localAddress);
    await gone.close();
    const failure = new Promise<string | undefined>((resolve) => {
      socket.onError((error) => {
        resolve(error.code);
      });
    });
    socket.sendToPeer(Buffer.from('anyone?'));
    expect(await failure).toBe('ECONNREFUSED');
  });

  it('ignores what is sent after closing, and closes once', async () => {
    const socket = await aSocket();
    const closing = socket.close();
    socket.send(Buffer.from('x'), { address: '127.0.0.1', port: 9 });
    socket.stopSegmenting();
    expect(socket.close()).toBe(closing);
    await closing;
  });

  it.runIf(hasIpv6)('opens on IPv6 too', async () => {
    const socket = await aSocket({ address: '::1', segmentSize: 1000 });
    expect(socket.localAddress.address).toBe('::1');
  });

  it.runIf(isLinux)('names who holds a port that is taken', async () => {
    const { localAddress } = await aSocket();
    for (const segmentSize of [undefined, 1000]) {
      const options = { ...localAddress, ...(segmentSize === undefined ? {} : { segmentSize }) };
      const error = await failureOf(options);
      expect(error.code).toBe('port-taken');
      expect(error.message).toContain(`UDP port ${localAddress.port} on 127.0.0.1 is held by`);
      expect(error.message).toContain(`(pid ${process.pid})`);
    }
  });

  it.runIf(isLinux)('names an interface or an address that does not exist', async () => {
    expect(await failureOf({ port: 0, interfaceName: 'nonesuch0' })).toMatchObject({ code: 'missing-interface' });
    const wrongAddress = await failureOf({ port: 0, address: '192.0.2.99' });
    expect(wrongAddress).toMatchObject({ code: 'missing-interface' });
    expect(wrongAddress.message).toContain('192.0.2.99');
  });

  it.runIf(isLinux && process.getuid?.() === 0)(
    'ties a socket to one interface, port and all (root only)',
    async () => {
      const one = await aSocket({ address: '0.0.0.0', interfaceName: 'lo', broadcast: true });
      const { port } = one.localAddress;
      const other = await aSocket();
      const heard = nextMessage(one);
      other.send(Buffer.from('by lo'), { address: '127.0.0.1', port });
      expect(await heard).toBe('by lo');
      expect(await failureOf({ port, interfaceName: 'lo', reuseAddress: false })).toMatchObject({ code: 'port-taken' });
    },
  );
});

describe('findPortHolder', () => {
  it.runIf(isLinux)('finds nobody at a port that is free', async () => {
    const socket = await aSocket();
    const { port } = socket.localAddress;
    expect(await findPortHolder('udp', port)).toMatchObject({ pid: process.pid });
    expect(await findPortHolder('tcp', port)).toBeUndefined();
    await socket.close();
    expect(await findPortHolder('udp', port)).toBeUndefined();
  });
});
