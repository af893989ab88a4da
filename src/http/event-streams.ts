// Live events to browsers and followers as server-sent events (WHATWG HTML §9.2): first what is on record after a given
// number, then each event as it happens. A reader that cannot keep up is cut off and comes back with its Last-Event-ID.
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { Scheduler } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { BootEvent } from '../events/boot-event.ts';
import type { EventLog, EventQuery } from '../events/event-log.ts';
import type { EventRecorder } from '../events/event-recorder.ts';

const MAX_STREAMS = 200;
const MAX_BUFFERED_BYTES = 1024 * 1024;
/** Events that may happen while the record is replayed. */
const MAX_WAITING_EVENTS = 2_000;
const REPLAY_PAGE = 500;
const HEARTBEAT_MS = 15_000;
/** A stream ends after so long, so that a session that ended cannot listen for ever; readers reconnect by themselves. */
const MAX_AGE_MS = 3_600_000;

type StreamSelection = Pick<EventQuery, 'machineId' | 'mac' | 'afterSeq'>;

interface StreamParts {
  readonly log: Pick<EventLog, 'query'>;
  readonly recorder: Pick<EventRecorder, 'subscribe'>;
  readonly scheduler: Scheduler;
}

export class EventStreams {
  readonly #parts: StreamParts;
  readonly #open = new Set<ServerResponse>();
  #closed = false;

  constructor(parts: StreamParts) {
    this.#parts = parts;
  }

  /** Takes the reply over and resolves when what is on record was sent; live events follow until either side ends. */
  async serve(reply: FastifyReply, selection: StreamSelection): Promise<void> {
    if (this.#closed || this.#open.size >= MAX_STREAMS) {
      throw new AppError('too-many-requests', 'Too many live streams are open.');
    }
    const { raw } = reply.hijack();
    raw.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    const stream = new EventStream(raw, selection);
    this.#open.add(raw);
    const ends = [
      this.#parts.recorder.subscribe((event) => {
        stream.offer(event);
      }),
      this.#repeat(HEARTBEAT_MS, () => {
        stream.write(': still here\n\n');
      }),
      this.#parts.scheduler.after(MAX_AGE_MS, () => raw.end()),
    ];
    raw.once('close', () => {
      this.#open.delete(raw);
      for (const end of ends) end();
    });
    stream.write('retry: 1000\n\n');
    try {
      await stream.replay(this.#parts.log);
    } catch (error) {
      raw.destroy();
      reply.log.error({ err: error }, 'could not replay events to a live stream');
    }
  }

  /** Ends all streams; for the time when the server stops. */
  closeAll(): void {
    this.#closed = true;
    for (const raw of this.#open) raw.end();
  }

  #repeat(milliseconds: number, action: () => void): () => void {
    let cancel = (): void => undefined;
    const arm = (): void => {
      cancel = this.#parts.scheduler.after(milliseconds, () => {
        action();
        arm();
      });
    };
    arm();
    return () => {
      cancel();
    };
  }
}

/** One reader. Until the replay is through, live events wait, so that each number comes once and in order. */
class EventStream {
  readonly #raw: ServerResponse;
  readonly #selection: StreamSelection;
  #waiting: BootEvent[] | undefined = [];
  #lastSeq: number;

  constructor(raw: ServerResponse, selection: StreamSelection) {
    this.#raw = raw;
    this.#selection = selection;
    this.#lastSeq = selection.afterSeq ?? 0;
  }

  offer(event: BootEvent): void {
    const { machineId, mac } = this.#selection;
    if (machineId !== undefined && event.machineId !== machineId) return;
    if (mac !== undefined && event.mac !== mac) return;
    if (this.#waiting === undefined) this.#send(event);
    else if (this.#waiting.push(event) > MAX_WAITING_EVENTS) this.#raw.destroy();
  }

  async replay(log: Pick<EventLog, 'query'>): Promise<void> {
    let full = this.#selection.afterSeq !== undefined;
    while (full && this.#raw.writable) {
      const page = await log.query({ ...this.#selection, afterSeq: this.#lastSeq, limit: REPLAY_PAGE });
      for (const event of page) this.#send(event);
      full = page.length === REPLAY_PAGE;
      if (this.#raw.writableNeedDrain) await this.#drained();
    }
    for (const event of this.#waiting ?? []) this.#send(event);
    this.#waiting = undefined;
  }

  write(text: string): void {
    if (!this.#raw.writable) return;
    this.#raw.write(text);
    if (this.#raw.writableLength > MAX_BUFFERED_BYTES) this.#raw.destroy();
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#raw.off('drain', done).off('close', done);
        resolve();
      };
      this.#raw.on('drain', done).on('close', done);
    });
  }

  #send(event: BootEvent): void {
    if (event.seq <= this.#lastSeq) return;
    this.#lastSeq = event.seq;
    this.write(`id: ${event.seq}\nevent: boot-event\ndata: ${JSON.stringify(event)}\n\n`);
  }
}
