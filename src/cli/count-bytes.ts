// A stream's bytes passed through while a terminal shows how far they are.
import { Transform, type TransformCallback } from 'node:stream';
import type { CommandTools } from './command-tools.ts';
import { formatProgress, formatProgressEnd } from './format-progress.ts';

const REDRAW_MS = 100;
const LINE_START = '\r';
const ERASE_LINE = '\u001b[K';

/** Draws on a terminal alone; elsewhere one line at the end, and none at all for programs. */
export function countBytes(
  label: string,
  totalBytes: number,
  tools: Pick<CommandTools, 'clock' | 'errors' | 'errorStyle' | 'isJson'>,
): Transform {
  const { clock, errors, errorStyle: style } = tools;
  const began = clock.now();
  let doneBytes = 0;
  let drawnAt = began;
  const progress = () => ({ label, doneBytes, totalBytes, elapsedMs: clock.now() - began });
  return new Transform({
    readableHighWaterMark: 1024 * 1024,
    writableHighWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      doneBytes += chunk.length;
      if (errors.isTerminal && !tools.isJson() && clock.now() - drawnAt >= REDRAW_MS) {
        drawnAt = clock.now();
        errors.write(LINE_START + formatProgress(progress(), style) + ERASE_LINE);
      }
      done(null, chunk);
    },
    flush(done: TransformCallback) {
      if (errors.isTerminal && !tools.isJson()) errors.write(LINE_START + ERASE_LINE);
      if (!tools.isJson()) errors.write(formatProgressEnd(progress(), style));
      done();
    },
  });
}
