import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readEventStream } from '../../../src/cli/read-event-stream.ts';

const STREAM =
  'retry: 1000\n\n: still here\n\nid: 7\nevent: boot-event\ndata: {"a":"ö"}\n\ndata: one\r\ndata: two\r\n\r\n';

describe('readEventStream', () => {
  it('gives the data of each event, joined over lines, without comments (WHATWG HTML §9.2.6)', async () => {
    expect(await read([STREAM])).toEqual(['{"a":"ö"}', 'one\ntwo']);
  });

  it('does not care where the network cuts the bytes', async () => {
    const bytes = Buffer.from(STREAM);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 8 }), async (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
        expect(await read(chunks)).toEqual(['{"a":"ö"}', 'one\ntwo']);
      }),
      { numRuns: 200 },
    );
  });

  it('drops an event that was cut off', async () => {
    expect(await read(['data: whole\n\ndata: half'])).toEqual(['whole']);
  });

  it('refuses a line without end', async () => {
    const endless = Array.from({ length: 3 }, () => 'x'.repeat(600_000));
    await expect(read(endless)).rejects.toThrow(/too long/);
  });
});

async function read(chunks: readonly (string | Uint8Array)[]): Promise<string[]> {
  const bytes = (async function* () {
    for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk));
  })();
  const events: string[] = [];
  for await (const data of readEventStream(bytes)) events.push(data);
  return events;
}
