// Shows on a terminal how far something is, over and over on one line; elsewhere one line at the end, and none for programs.
import type { CommandTools } from './command-tools.ts';
import { formatProgress, formatProgressEnd } from './format-progress.ts';

export type ProgressTools = Pick<CommandTools, 'clock' | 'errors' | 'errorStyle' | 'isJson'>;

const REDRAW_MS = 100;
const LINE_START = '\r';
const ERASE_LINE = '\u001b[K';

export class ProgressLine {
  readonly #label: string;
  readonly #totalBytes: number;
  readonly #tools: ProgressTools;
  readonly #began: number;
  #drawnAt: number;
  #doneBytes = 0;

  constructor(label: string, totalBytes: number, tools: ProgressTools) {
    this.#label = label;
    this.#totalBytes = totalBytes;
    this.#tools = tools;
    this.#began = tools.clock.now();
    this.#drawnAt = this.#began;
  }

  /** Bytes done by now. */
  show(doneBytes: number): void {
    const { clock, errors, errorStyle, isJson } = this.#tools;
    this.#doneBytes = doneBytes;
    if (!errors.isTerminal || isJson() || clock.now() - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = clock.now();
    errors.write(LINE_START + formatProgress(this.#state(), errorStyle) + ERASE_LINE);
  }

  add(bytes: number): void {
    this.show(this.#doneBytes + bytes);
  }

  /** It went well. */
  end(): void {
    const { errors, errorStyle, isJson } = this.#tools;
    this.clear();
    if (!isJson()) errors.write(formatProgressEnd(this.#state(), errorStyle));
  }

  /** There was nothing to do. */
  skip(remark: string): void {
    const { errors, errorStyle, isJson } = this.#tools;
    this.clear();
    if (!isJson()) errors.write(`  ${this.#label.padEnd(18)} ${errorStyle.faint(remark)}\n`);
  }

  clear(): void {
    const { errors, isJson } = this.#tools;
    if (errors.isTerminal && !isJson()) errors.write(LINE_START + ERASE_LINE);
  }

  #state() {
    const elapsedMs = this.#tools.clock.now() - this.#began;
    return { label: this.#label, doneBytes: this.#doneBytes, totalBytes: this.#totalBytes, elapsedMs };
  }
}
