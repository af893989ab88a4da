// A stream's bytes passed through while a terminal shows how far they are.
import { Transform, type TransformCallback } from 'node:stream';
import { ProgressLine, type ProgressTools } from './progress-line.ts';

export function countBytes(label: string, totalBytes: number, tools: ProgressTools): Transform {
  const line = new ProgressLine(label, totalBytes, tools);
  return new Transform({
    readableHighWaterMark: 1024 * 1024,
    writableHighWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      line.add(chunk.length);
      done(null, chunk);
    },
    flush(done: TransformCallback) {
      line.end();
      done();
    },
  });
}
