// The TFTP service: listens on each address, decodes, decides, and gives every accepted read request a session of its own.
// Read only; what the names mean is openFile's business.
import { decideTftpRequest, printableName } from '../boot/tftp-request.ts';
import { DEFAULT_TRANSFER_LIMITS } from '../boot/tftp-options.ts';
import type { TransferLimits } from '../boot/tftp-options.ts';
import type { Clock, RandomSource, Scheduler } from '../clock.ts';
import type { SocketAddress, UdpSocket, UdpSocketOptions } from '../platform/udp-socket.ts';
import { DecodeError } from '../protocol/bytes.ts';
import { decodePacket } from '../protocol/tftp/decode-packet.ts';
import { encodePacket } from '../protocol/tftp/encode-packet.ts';
import type { TftpPacket, TftpRequest } from '../protocol/tftp/packet.ts';
import { TftpAdmission } from './tftp-admission.ts';
import type { AdmissionLimits } from './tftp-admission.ts';
import { TftpContentCache } from './tftp-content.ts';
import type { ContentLimits } from './tftp-content.ts';
import { TftpSession } from './tftp-session.ts';
import type { TftpListener, TftpOutcome, TftpSessionEnd, TftpSessionServices } from './tftp-session.ts';
import { Ticker } from './tftp-ticker.ts';

export interface TftpLimits extends TransferLimits, AdmissionLimits, ContentLimits {
  /** The longest a transfer may take, however steadily it goes on. */
  readonly transferMilliseconds: number;
}

const DEFAULT_TFTP_LIMITS: TftpLimits = {
  ...DEFAULT_TRANSFER_LIMITS,
  sessions: 256,
  sessionsPerAddress: 4,
  queueLength: 1024,
  cachedFileBytes: 32 * 1024 * 1024,
  cacheBytes: 128 * 1024 * 1024,
  transferMilliseconds: 60 * 60 * 1000,
};

export interface TftpListenAddress {
  readonly address: string;
  /** MTU of the interface; 1500 where it is left out. */
  readonly mtu?: number;
}

export interface TftpTransferReport {
  /** Safe to log and to show: control characters are escaped. */
  readonly name: string;
  readonly peer: SocketAddress;
  readonly outcome: TftpOutcome;
  readonly reason: string;
  /** Of the file, as far as the client has acknowledged it. */
  readonly bytes: number;
  readonly milliseconds: number;
}

interface TftpLogger {
  debug(details: object, message: string): void;
  warn(details: object, message: string): void;
}

export interface TftpServerOptions {
  /** 69, or 0 for any free port. */
  readonly port: number;
  readonly limits?: Partial<TftpLimits>;
  readonly openFile: TftpSessionServices['openFile'];
  readonly openSocket: (options: UdpSocketOptions) => Promise<UdpSocket>;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: RandomSource;
  readonly logger: TftpLogger;
  readonly onTransfer: (report: TftpTransferReport) => void;
}

interface OpenListener extends TftpListener {
  readonly socket: UdpSocket;
}

export class TftpServer {
  private readonly options: TftpServerOptions;
  private readonly limits: TftpLimits;
  private readonly ticker: Ticker;
  private readonly admission: TftpAdmission;
  private readonly services: TftpSessionServices;
  private readonly sessions = new Map<string, { readonly session: TftpSession; readonly startedAt: number }>();
  private readonly closing = new Set<Promise<void>>();
  private listeners: OpenListener[] = [];
  private starting: Promise<void> | undefined;

  constructor(options: TftpServerOptions) {
    this.options = options;
    this.limits = { ...DEFAULT_TFTP_LIMITS, ...options.limits };
    this.ticker = new Ticker(options.scheduler);
    this.admission = new TftpAdmission(this.limits);
    this.services = {
      openFile: options.openFile,
      openSocket: options.openSocket,
      cache: new TftpContentCache(this.limits),
      ticker: this.ticker,
      random: options.random,
      transferMilliseconds: this.limits.transferMilliseconds,
      onEnd: (session, end, socketClosed) => {
        this.onSessionEnd(session, end, socketClosed);
      },
      onOddity: (session, oddity, error) => {
        options.logger.debug({ ...describe(session), oddity, err: error }, 'tftp oddity');
      },
    };
  }

  /** Where it listens; the way to learn the port when it was 0. */
  get addresses(): readonly SocketAddress[] {
    return this.listeners.map((listener) => listener.socket.localAddress);
  }

  /** Binds all addresses, or none where one fails (AppError of openUdpSocket). A broadcast request never reaches such a socket. */
  start(addresses: readonly TftpListenAddress[]): Promise<void> {
    this.starting ??= this.listen(addresses).catch((error: unknown) => {
      this.starting = undefined;
      throw error;
    });
    return this.starting;
  }

  /** Aborts what runs, tells the clients, and resolves when every port is free. */
  async stop(): Promise<void> {
    await this.starting?.catch(() => undefined);
    this.starting = undefined;
    const listeners = this.listeners.splice(0);
    // The youngest first: those that wait are then gone before a slot gets free.
    for (const { session } of [...this.sessions.values()].reverse()) session.abort('server is stopping');
    await Promise.all([...listeners.map(({ socket }) => socket.close()), ...this.closing]);
  }

  private async listen(addresses: readonly TftpListenAddress[]): Promise<void> {
    const opened: { socket: UdpSocket; at: TftpListenAddress }[] = [];
    try {
      for (const at of addresses) {
        opened.push({ socket: await this.options.openSocket({ address: at.address, port: this.options.port }), at });
      }
    } catch (error) {
      await Promise.all(opened.map(({ socket }) => socket.close()));
      throw error;
    }
    for (const { socket, at } of opened) this.attach(socket, at);
  }

  private attach(socket: UdpSocket, { address, mtu = 1500 }: TftpListenAddress): void {
    const listener: OpenListener = {
      socket,
      address,
      transferLimits: {
        ...this.limits,
        maximumBlockSize: Math.min(this.limits.maximumBlockSize, fitsMtu(address, mtu)),
      },
      reply: (packet, to) => {
        socket.send(encodePacket(packet), to);
      },
    };
    socket.onError((error) => {
      this.options.logger.debug({ address, err: error }, 'tftp socket error');
    });
    socket.onMessage((datagram, from) => {
      this.onDatagram(listener, datagram, from);
    });
    this.listeners.push(listener);
  }

  private onDatagram(listener: OpenListener, datagram: Buffer, from: SocketAddress): void {
    const packet = this.decode(datagram, from);
    if (packet === undefined) return;
    const decision = decideTftpRequest(packet, from);
    switch (decision.kind) {
      case 'serve':
        this.onRequest(listener, decision.request, decision.name, from);
        return;
      case 'refuse':
        this.options.logger.debug({ peer: from, kind: packet.kind, message: decision.message }, 'tftp request refused');
        listener.reply({ kind: 'error', code: decision.code, message: decision.message }, from);
        return;
      case 'ignore':
        this.options.logger.debug({ peer: from, reason: decision.reason }, 'tftp datagram ignored');
        return;
    }
  }

  private decode(datagram: Buffer, from: SocketAddress): TftpPacket | undefined {
    try {
      return decodePacket(datagram);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.options.logger.debug({ peer: from, field: error.field, offset: error.offset }, 'tftp datagram undecodable');
      return undefined;
    }
  }

  private onRequest(listener: OpenListener, request: TftpRequest, name: string, from: SocketAddress): void {
    const key = keyOf(from);
    const known = this.sessions.get(key)?.session;
    if (known?.repeat(request) === true) return;
    known?.abort('client began anew');
    const peer = { address: from.address, port: from.port };
    const session = new TftpSession(this.services, listener, request, name, peer);
    this.sessions.set(key, { session, startedAt: this.options.clock.now() });
    this.ticker.add(session);
    if (this.admission.apply(session)) return;
    this.sessions.delete(key);
    this.ticker.remove(session);
    this.options.logger.debug(describe(session), 'tftp queue is full, request dropped');
  }

  private onSessionEnd(session: TftpSession, end: TftpSessionEnd, socketClosed: Promise<void>): void {
    const key = keyOf(session.peer);
    const startedAt = this.sessions.get(key)?.startedAt ?? this.options.clock.now();
    this.sessions.delete(key);
    this.ticker.remove(session);
    this.closing.add(socketClosed);
    void socketClosed.finally(() => this.closing.delete(socketClosed));
    this.admission.leave(session);
    const { outcome, reason, bytes, error } = end;
    const report = { ...describe(session), outcome, reason, bytes, milliseconds: this.options.clock.now() - startedAt };
    if (outcome === 'failed') this.options.logger.warn({ ...report, err: error }, 'tftp transfer failed');
    else this.options.logger.debug(report, 'tftp transfer ended');
    try {
      this.options.onTransfer(report);
    } catch (defect) {
      // Whatever a listener does: we stand in a datagram's event here, and that may not end the process.
      this.options.logger.warn({ ...report, err: defect }, 'tftp transfer report failed');
    }
  }
}

function describe(session: TftpSession): { name: string; peer: SocketAddress } {
  return { name: printableName(session.name), peer: session.peer };
}

function keyOf(peer: SocketAddress): string {
  return `${peer.address} ${peer.port}`;
}

/** A DATA packet that is not fragmented: headers of IPv4 or IPv6, UDP and TFTP. Many ROMs cannot put fragments together. */
function fitsMtu(address: string, mtu: number): number {
  return mtu - (address.includes(':') ? 52 : 32);
}
