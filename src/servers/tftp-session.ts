// One transfer from its request to its end: waits for a slot, opens the file and a socket of its own, then carries out what the
// state machine in boot/tftp-transfer.ts decides. Owns no policy.
import { createTransfer, deliveredBytes, jitter, stepTransfer } from '../boot/tftp-transfer.ts';
import type { TransferEnd, TransferEvent, TransferState, TransferStep } from '../boot/tftp-transfer.ts';
import type { TransferLimits } from '../boot/tftp-options.ts';
import { DecodeError } from '../protocol/bytes.ts';
import { decodePacket } from '../protocol/tftp/decode-packet.ts';
import { encodePacket } from '../protocol/tftp/encode-packet.ts';
import { TftpErrorCode } from '../protocol/tftp/packet.ts';
import type { TftpPacket, TftpRequest } from '../protocol/tftp/packet.ts';
import type { SocketAddress, UdpSocket, UdpSocketOptions } from '../platform/udp-socket.ts';
import type { RandomSource } from '../clock.ts';
import type { Applicant } from './tftp-admission.ts';
import type { TftpContentCache, TftpFile, TransferContent } from './tftp-content.ts';
import type { Ticker, TickerMember } from './tftp-ticker.ts';
import { segmentSizeFor, WindowSender } from './tftp-window.ts';

export type TftpOutcome = TransferEnd | 'failed' | 'not-found';

/** What one listening socket gives its sessions. */
export interface TftpListener {
  readonly address: string;
  readonly transferLimits: TransferLimits;
  /** Sends from the listening port, for clients that have no session. */
  reply(packet: TftpPacket, to: SocketAddress): void;
}

export interface TftpSessionServices {
  readonly openFile: (name: string, peer: SocketAddress) => Promise<TftpFile | { readonly reason: 'not-found' }>;
  readonly openSocket: (options: UdpSocketOptions) => Promise<UdpSocket>;
  readonly cache: TftpContentCache;
  readonly ticker: Ticker;
  readonly random: RandomSource;
  readonly transferMilliseconds: number;
  /** Called once. `socketClosed` is settled when the session's port is free again. */
  readonly onEnd: (session: TftpSession, end: TftpSessionEnd, socketClosed: Promise<void>) => void;
  readonly onOddity: (session: TftpSession, oddity: string, error?: Error) => void;
}

export interface TftpSessionEnd {
  readonly outcome: TftpOutcome;
  readonly reason: string;
  readonly bytes: number;
  readonly error?: Error;
}

/** A client repeats its request every few seconds while it waits; one that does not is gone. */
const WAITING_PATIENCE_MILLISECONDS = 15_000;
const OPENING_PATIENCE_MILLISECONDS = 30_000;

/** The kernel cannot segment on this path: no checksum offload, a tunnel, or a block that does not fit the device's MTU. */
const SEGMENTATION_ERRORS: ReadonlySet<string | undefined> = new Set(['EIO', 'EINVAL', 'EMSGSIZE', 'EOPNOTSUPP']);

interface Running {
  readonly socket: UdpSocket;
  readonly content: TransferContent;
  readonly sender: WindowSender;
}

export class TftpSession implements Applicant, TickerMember {
  readonly request: TftpRequest;
  readonly name: string;
  readonly peer: SocketAddress;
  deadline: number;
  private readonly services: TftpSessionServices;
  private readonly listener: TftpListener;
  private socket: UdpSocket | undefined;
  private running: Running | undefined;
  private state: TransferState | undefined;
  private ended = false;
  private reading = false;
  private lastFrom = 1;
  private lastThrough = 0;
  private lastTick = Number.POSITIVE_INFINITY;
  private jitterRandom: number;

  constructor(
    services: TftpSessionServices,
    listener: TftpListener,
    request: TftpRequest,
    name: string,
    peer: SocketAddress,
  ) {
    this.services = services;
    this.listener = listener;
    this.request = request;
    this.name = name;
    this.peer = peer;
    this.jitterRandom = this.drawRandom();
    this.deadline = services.ticker.ahead(WAITING_PATIENCE_MILLISECONDS);
  }

  get address(): string {
    return this.peer.address;
  }

  admit(): void {
    this.deadline = this.services.ticker.ahead(OPENING_PATIENCE_MILLISECONDS);
    this.lastTick = this.services.ticker.ahead(this.services.transferMilliseconds);
    this.open().catch((error: unknown) => {
      this.fail('the transfer could not be opened', error);
    });
  }

  /**
   * The client sent a request from the same port again. True where it is this session's own, answered as before; false where
   * the client has begun anew: with another request, or after it had fallen silent in the middle (firmware with a fixed port).
   */
  repeat(request: TftpRequest): boolean {
    if (!sameRequest(request, this.request)) return false;
    if (this.state === undefined) {
      this.deadline = Math.max(this.deadline, this.services.ticker.ahead(WAITING_PATIENCE_MILLISECONDS));
      return true;
    }
    if (this.state.answered && this.state.retransmissions > 0) return false;
    this.advance({ kind: 'request-repeated' });
    return true;
  }

  onDeadline(): void {
    if (this.state === undefined) {
      this.end('timed-out', 'no slot or no file in time');
      return;
    }
    this.jitterRandom = this.drawRandom();
    this.advance({ kind: 'timeout' });
  }

  /** Ends the transfer from our side and tells the client. */
  abort(reason: string): void {
    this.refuse('Transfer aborted');
    this.end('aborted', reason);
  }

  private async open(): Promise<void> {
    const file = await this.services.openFile(this.name, this.peer);
    if ('reason' in file) {
      // At once: iPXE, shim and the Raspberry Pi try lists of names and stall on silence.
      const packet = { kind: 'error', code: TftpErrorCode.FileNotFound, message: 'File not found' } as const;
      if (!this.ended) this.listener.reply(packet, this.peer);
      this.end('not-found', 'no such file');
      return;
    }
    const content = await this.services.cache.open(file);
    const first = createTransfer(this.request, content.sizeBytes, this.listener.transferLimits);
    const segmentSize = segmentSizeFor(first.state.plan);
    const socket = await this.services.openSocket({
      address: this.listener.address,
      port: 0,
      ...(segmentSize === undefined ? {} : { segmentSize }),
    });
    if (this.hasEnded()) {
      await socket.close();
      return;
    }
    this.socket = socket;
    socket.onMessage((datagram, from) => {
      this.onDatagram(datagram, from);
    });
    socket.onError((error) => {
      this.onSocketError(error);
    });
    await socket.connect(this.peer);
    if (this.hasEnded()) return;
    this.running = { socket, content, sender: new WindowSender(socket, content, first.state.plan) };
    this.perform(first);
  }

  private onDatagram(datagram: Buffer, from: SocketAddress): void {
    // The socket is connected, so the kernel drops what strangers send and answers them with ICMP port unreachable. Only
    // what arrived between bind and connect gets here, and an ERROR 5 as RFC 1350 §4 wants it. The transfer goes on.
    if (from.port !== this.peer.port || from.address !== this.peer.address) {
      const message = 'Unknown transfer ID';
      this.listener.reply({ kind: 'error', code: TftpErrorCode.UnknownTransferId, message }, from);
      return;
    }
    const packet = this.decode(datagram);
    if (packet === undefined || this.state === undefined) return;
    if (this.services.ticker.now > this.lastTick) {
      this.abort('longer than a transfer may last');
      return;
    }
    if (packet.kind === 'ack') this.advance(packet);
    else if (packet.kind === 'error') this.advance(packet);
    else this.services.onOddity(this, `client sent ${packet.kind} in a read transfer`);
  }

  private decode(datagram: Buffer): TftpPacket | undefined {
    try {
      return decodePacket(datagram);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.services.onOddity(this, 'undecodable datagram', error);
      return undefined;
    }
  }

  private onSocketError(error: Error & { code?: string }): void {
    if (this.running?.socket.segmenting === true && SEGMENTATION_ERRORS.has(error.code)) {
      this.running.socket.stopSegmenting();
      this.services.onOddity(this, 'the kernel does not segment here', error);
      this.sendBlocks(this.running, this.lastFrom, this.lastThrough);
      return;
    }
    if (error.code === 'ECONNREFUSED') this.advance({ kind: 'unreachable' });
    // Anything else (buffers full, no route for a moment) is a lost packet: the timer sends it again.
    else this.services.onOddity(this, 'socket error', error);
  }

  private advance(event: TransferEvent): void {
    if (this.state !== undefined && !this.ended) this.perform(stepTransfer(this.state, event));
  }

  private perform({ state, action }: TransferStep): void {
    const { running } = this;
    this.state = state;
    if (running === undefined || action.kind === 'wait') return;
    if (action.kind === 'end') {
      this.end(action.outcome, action.reason);
      return;
    }
    this.deadline = this.services.ticker.ahead(jitter(state.waitMilliseconds, this.jitterRandom));
    if (action.kind === 'send-blocks') {
      this.sendBlocks(running, action.from, action.through);
    } else if (state.plan.optionAck !== undefined) {
      running.socket.sendToPeer(encodePacket({ kind: 'option-ack', options: state.plan.optionAck }));
    }
  }

  /** Sends the blocks, or reads them and sends what is wanted by then. The timer runs on: a store that hangs ends the transfer. */
  private sendBlocks(running: Running, from: number, through: number): void {
    const { content, sender } = running;
    this.lastFrom = from;
    this.lastThrough = through;
    if (this.reading || this.ended || this.state === undefined) return;
    const { blockSize } = this.state.plan;
    const ready = content.prepare((from - 1) * blockSize, Math.min(through * blockSize, content.sizeBytes));
    if (ready === undefined) {
      sender.send(from, through);
      return;
    }
    this.reading = true;
    ready.then(
      () => {
        this.reading = false;
        this.sendBlocks(running, this.lastFrom, this.lastThrough);
      },
      (error: unknown) => {
        this.fail('the file could not be read', error);
      },
    );
  }

  private fail(reason: string, cause: unknown): void {
    if (this.ended) return;
    this.refuse('Server failure');
    this.end('failed', reason, cause instanceof Error ? cause : new Error(String(cause)));
  }

  private refuse(message: string): void {
    if (this.ended) return;
    const packet: TftpPacket = { kind: 'error', code: TftpErrorCode.NotDefined, message };
    if (this.running === undefined) this.listener.reply(packet, this.peer);
    else this.running.socket.sendToPeer(encodePacket(packet));
  }

  private end(outcome: TftpOutcome, reason: string, error?: Error): void {
    if (this.ended) return;
    this.ended = true;
    const bytes = this.state === undefined ? 0 : deliveredBytes(this.state);
    const closed = this.socket?.close() ?? Promise.resolve();
    this.services.onEnd(this, { outcome, reason, bytes, ...(error === undefined ? {} : { error }) }, closed);
  }

  // A method, because the compiler does not see that `ended` changes while open() awaits.
  private hasEnded(): boolean {
    return this.ended;
  }

  private drawRandom(): number {
    return (this.services.random.bytes(1)[0] ?? 0) / 255;
  }
}

function sameRequest(one: TftpRequest, other: TftpRequest): boolean {
  return Buffer.from(encodePacket(one)).equals(encodePacket(other));
}
