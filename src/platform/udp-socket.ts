// UDP sockets as the servers see them: a small port over node:dgram, so that tests can use fakes. Where an interface or
// segmentation is asked for, libc makes the socket and node:dgram takes it over.
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { Socket } from 'node:dgram';
import { AppError } from '../errors.ts';
import { libc, SystemCallError } from './libc.ts';
import { findPortHolder } from './port-holder.ts';

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

export interface UdpSocketOptions {
  /** 0 takes any free port. */
  readonly port: number;
  /** All addresses of IPv4 where it is left out. */
  readonly address?: string;
  /** Ties the socket to one interface: it sees what arrives there, broadcasts too, and sends out of it alone. */
  readonly interfaceName?: string;
  readonly broadcast?: boolean;
  /** SO_REUSEADDR: share the port with another program. On by itself with interfaceName. */
  readonly reuseAddress?: boolean;
  /** Asks the kernel to cut what is sent to the peer into datagrams of so many bytes; `segmenting` tells whether it does. */
  readonly segmentSize?: number;
}

export interface UdpSocket {
  readonly localAddress: SocketAddress;
  /** The kernel cuts one sendToPeer into datagrams of segmentSize (UDP_SEGMENT, at most 64 of them and 65507 bytes). */
  readonly segmenting: boolean;
  /** Sends with bytes still in Node's hands: while there are any, what was given to a send must not be written to. */
  readonly pendingSends: number;
  onMessage(listener: (datagram: Buffer, from: SocketAddress) => void): void;
  /** What goes wrong after opening. Without a listener it is dropped: a datagram is never worth the process. */
  onError(listener: (error: Error & { code?: string }) => void): void;
  send(datagram: Uint8Array, to: SocketAddress): void;
  /** From then on only this peer is heard, and its ICMP errors are reported. */
  connect(peer: SocketAddress): Promise<void>;
  sendToPeer(bytes: Uint8Array): void;
  stopSegmenting(): void;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Opens and binds. Throws AppError: 'port-taken' (names the holder), 'permission-denied' or 'missing-interface'. */
export async function openUdpSocket(options: UdpSocketOptions): Promise<UdpSocket> {
  try {
    const native = options.interfaceName !== undefined || options.segmentSize !== undefined;
    return native && (libc !== undefined || options.interfaceName !== undefined)
      ? openNative(options)
      : await openPlain(options);
  } catch (error) {
    throw await explain(error, options);
  }
}

async function openPlain(options: UdpSocketOptions): Promise<UdpSocket> {
  const { address = '0.0.0.0', port, reuseAddress = false, broadcast = false } = options;
  const socket = createDgramSocket(address, reuseAddress);
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ port, address, exclusive: true }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  if (broadcast) socket.setBroadcast(true);
  return new DgramUdpSocket(socket, undefined, false);
}

function openNative(options: UdpSocketOptions): UdpSocket {
  const { address = '0.0.0.0', port, interfaceName, segmentSize, broadcast = false } = options;
  if (libc === undefined) throw new SystemCallError('dlopen', 'ENOSYS');
  const reuseAddress = options.reuseAddress ?? interfaceName !== undefined;
  const fd = libc.bindUdpSocket({ address, port, interfaceName, broadcast, reuseAddress });
  const segmenting = segmentSize !== undefined && libc.setSegmentSize(fd, segmentSize);
  const socket = createDgramSocket(address, false);
  // From here on node:dgram owns the descriptor and closes it.
  socket.bind({ fd, exclusive: true });
  return new DgramUdpSocket(socket, fd, segmenting);
}

function createDgramSocket(address: string, reuseAddr: boolean): Socket {
  const family = isIPv6(address) ? 6 : 4;
  return createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    reuseAddr,
    // Only addresses are ever given: no name is looked up, and a send costs no round through the resolver.
    lookup: (hostname, _options, callback) => {
      callback(null, hostname, family);
    },
  });
}

class DgramUdpSocket implements UdpSocket {
  readonly localAddress: SocketAddress;
  private readonly socket: Socket;
  private readonly fd: number | undefined;
  private readonly onSent: (error: Error | null) => void;
  private errorListener: (error: Error & { code?: string }) => void = () => undefined;
  private segments: boolean;
  private closed: Promise<void> | undefined;

  constructor(socket: Socket, fd: number | undefined, segments: boolean) {
    this.socket = socket;
    this.fd = fd;
    this.segments = segments;
    this.localAddress = socket.address();
    this.onSent = (error) => {
      if (error !== null) this.errorListener(error);
    };
    socket.on('error', (error) => {
      this.errorListener(error);
    });
  }

  get segmenting(): boolean {
    return this.segments;
  }

  get pendingSends(): number {
    return this.socket.getSendQueueCount();
  }

  onMessage(listener: (datagram: Buffer, from: SocketAddress) => void): void {
    this.socket.on('message', listener);
  }

  onError(listener: (error: Error & { code?: string }) => void): void {
    this.errorListener = listener;
  }

  send(datagram: Uint8Array, to: SocketAddress): void {
    if (this.closed === undefined) this.socket.send(datagram, to.port, to.address, this.onSent);
  }

  connect(peer: SocketAddress): Promise<void> {
    return new Promise((resolve, reject) => {
      // The types say that the callback gets nothing; it gets the error.
      this.socket.connect(peer.port, peer.address, (error?: unknown) => {
        if (error instanceof Error) reject(error);
        else resolve();
      });
    });
  }

  sendToPeer(bytes: Uint8Array): void {
    if (this.closed === undefined) this.socket.send(bytes, this.onSent);
  }

  stopSegmenting(): void {
    this.segments = false;
    // A closed descriptor's number may already be another socket's.
    if (this.fd !== undefined && this.closed === undefined) libc?.setSegmentSize(this.fd, 0);
  }

  close(): Promise<void> {
    this.closed ??= new Promise((resolve) => {
      this.socket.close(resolve);
    });
    return this.closed;
  }
}

async function explain(error: unknown, options: UdpSocketOptions): Promise<unknown> {
  if (!(error instanceof Error) || !('code' in error)) return error;
  const where = `UDP port ${options.port} on ${describePlace(options)}`;
  switch (error.code) {
    case 'EADDRINUSE': {
      const holder = await findPortHolder('udp', options.port);
      const by = holder === undefined ? 'another program' : `${holder.command} (pid ${holder.pid})`;
      return new AppError(
        'port-taken',
        `${where} is held by ${by}.\nFix: stop it, or choose another port in the settings.`,
        { cause: error },
      );
    }
    case 'EACCES':
    case 'EPERM':
      return new AppError(
        'permission-denied',
        `${where} may not be opened.\nFix: run with CAP_NET_BIND_SERVICE and CAP_NET_RAW (config/muster.service), or as root.`,
        { cause: error },
      );
    case 'ENODEV':
      return new AppError('missing-interface', `${where}: there is no such interface`, { cause: error });
    case 'EADDRNOTAVAIL':
      return new AppError('missing-interface', `${where}: no interface has this address`, { cause: error });
    case 'ENOSYS':
      return new AppError('missing-interface', `${where}: tying a socket to an interface needs Linux`, {
        cause: error,
      });
    default:
      return error;
  }
}

function describePlace({ address = '0.0.0.0', interfaceName }: UdpSocketOptions): string {
  return interfaceName === undefined ? address : `${address} (interface ${interfaceName})`;
}
