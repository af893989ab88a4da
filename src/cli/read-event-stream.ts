// Server-sent events (WHATWG HTML §9.2.6) out of a stream of bytes. Pure but for the stream it is given.

const LINE_LIMIT_CHARACTERS = 1024 * 1024;

/** The data of each event, in order. Comments, names and ids are passed over; data of several lines is joined. */
export async function* readEventStream(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  let data: string[] = [];
  for await (const chunk of bytes) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    if (rest.length > LINE_LIMIT_CHARACTERS) throw new RangeError('An event is far too long.');
    for (const line of lines) {
      if (line === '' && data.length > 0) {
        yield data.join('\n');
        data = [];
      } else if (line.startsWith('data:')) {
        data.push(line.slice(5).replace(/^ /, ''));
      }
    }
  }
}
