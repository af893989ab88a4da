// Cuts one stream into pieces that are streams themselves, without closing it in between.
import { Readable } from 'node:stream';

export class ByteReader {
  readonly #source: Readable;
  readonly #chunks: AsyncIterator<unknown, unknown>;
  #rest: Uint8Array = new Uint8Array();
  /** What the source failed with, which an HTTP client reports as something else. */
  failure: Error | undefined;

  constructor(source: Readable) {
    this.#source = source;
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** The next `length` bytes; fails where the source ends before. `onBytes` hears how many of them have passed. */
  take(length: number, onBytes: (bytes: number) => void = ignore): Readable {
    return Readable.from(this.#piece(length, onBytes), { objectMode: false });
  }

  /** All that is left. */
  rest(): Readable {
    return Readable.from(this.#all(), { objectMode: false });
  }

  close(): void {
    this.#source.destroy();
  }

  async *#piece(length: number, onBytes: (bytes: number) => void): AsyncGenerator<Uint8Array> {
    let passed = 0;
    while (passed < length) {
      if (this.#rest.length === 0) this.#rest = await this.#next(true);
      const chunk = this.#rest.subarray(0, length - passed);
      this.#rest = this.#rest.subarray(chunk.length);
      passed += chunk.length;
      yield chunk;
      onBytes(passed);
    }
  }

  async *#all(): AsyncGenerator<Uint8Array> {
    for (let chunk = this.#rest; ;) {
      if (chunk.length > 0) yield chunk;
      const next = await this.#next(false);
      if (next === undefined) return;
      chunk = next;
    }
  }

  async #next(isNeeded: true): Promise<Uint8Array>;
  async #next(isNeeded: false): Promise<Uint8Array | undefined>;
  async #next(isNeeded: boolean): Promise<Uint8Array | undefined> {
    try {
      const next = await this.#chunks.next();
      if (next.done === true && !isNeeded) return undefined;
      if (next.done === true) throw new Error('The source of a blob ended too early.');
      if (!(next.value instanceof Uint8Array)) throw new Error('The source of a blob gave something other than bytes.');
      return next.value;
    } catch (cause) {
      this.failure = cause instanceof Error ? cause : new Error(String(cause));
      throw this.failure;
    }
  }
}

function ignore(): void {
  // Not everybody shows progress.
}
