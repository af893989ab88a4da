// UDP sockets and time without a kernel: what a server sends is written down, what it hears is put into its ear.
import type { Scheduler } from '../../src/clock.ts';
import type { SocketAddress, UdpSocket, UdpSocketOptions } from '../../src/platform/udp-socket.ts';

export interface SentDatagram {
  readonly bytes: Buffer;
  readonly to: SocketAddress | undefined;
}

export class FakeUdpSocket implements UdpSocket {
  readonly options: UdpSocketOptions;
  readonly localAddress: SocketAddress;
  /** Everything that was sent, each segment for itself; `to` is missing where it went to the connected peer. */
  readonly sent: SentDatagram[] = [];
  segmenting: boolean;
  pendingSends = 0;
  closed = false;
  connectedTo: SocketAddress | undefined;
  private messageListener: (datagram: Buffer, from: SocketAddress) => void = () => undefined;
  private errorListener: (error: Error & { code?: string }) => void = () => undefined;

  constructor(options: UdpSocketOptions, localPort: number) {
    this.options = options;
    this.localAddress = { address: options.address ?? '0.0.0.0', port: localPort };
    this.segmenting = options.segmentSize !== undefined;
  }

  onMessage(listener: (datagram: Buffer, from: SocketAddress) => void): void {
    this.messageListener = listener;
  }

  onError(listener: (error: Error & { code?: string }) => void): void {
    this.errorListener = listener;
  }

  send(datagram: Uint8Array, to: SocketAddress): void {
    this.sent.push({ bytes: Buffer.from(datagram), to });
  }

  connect(peer: SocketAddress): Promise<void> {
    this.connectedTo = peer;
    return Promise.resolve();
  }

  sendToPeer(bytes: Uint8Array): void {
    const step = (this.segmenting ? this.options.segmentSize : undefined) ?? bytes.length;
    for (let start = 0; start < bytes.length; start += step) {
      this.sent.push({ bytes: Buffer.from(bytes.subarray(start, start + step)), to: undefined });
    }
  }

  stopSegmenting(): void {
    this.segmenting = false;
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  /** A datagram arrives. */
  hear(datagram: Uint8Array, from: SocketAddress): void {
    if (!this.closed) this.messageListener(Buffer.from(datagram), from);
  }

  /** The kernel reports an error, of a send or by ICMP. */
  fail(code: string): void {
    this.errorListener(Object.assign(new Error(code), { code }));
  }
}

/** Opens fake sockets and keeps them in order. */
export class FakeUdpNetwork {
  readonly sockets: FakeUdpSocket[] = [];
  /** Set to make the next open fail. */
  failNextWith: Error | undefined;

  open = (options: UdpSocketOptions): Promise<UdpSocket> => {
    const failure = this.failNextWith;
    this.failNextWith = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    const port = options.port === 0 ? 40_000 + this.sockets.length : options.port;
    const socket = new FakeUdpSocket(options, port);
    this.sockets.push(socket);
    return Promise.resolve(socket);
  };
}

/** Time that stands still until it is told. */
export class ManualScheduler implements Scheduler {
  private readonly timers = new Set<{ readonly at: number; readonly action: () => void }>();
  private time = 0;

  after(milliseconds: number, action: () => void): () => void {
    const timer = { at: this.time + milliseconds, action };
    this.timers.add(timer);
    return () => {
      this.timers.delete(timer);
    };
  }

  get pending(): number {
    return this.timers.size;
  }

  now(): number {
    return this.time;
  }

  advance(milliseconds: number): void {
    const end = this.time + milliseconds;
    for (;;) {
      const next = [...this.timers].sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.timers.delete(next);
      this.time = next.at;
      next.action();
    }
    this.time = end;
  }
}
