// Asks the server how far the conversion of an image is, until it is through, and shows it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from './api-client.ts';
import { answers } from './api-answers.ts';
import type { CommandTools } from './command-tools.ts';
import { ProgressLine } from './progress-line.ts';

const ASK_EVERY_MS = 500;

/** The last answer: the image is ready or refused. `path` is that of the image in the API. */
export async function waitForConversion(path: string, api: ApiClient, tools: CommandTools): Promise<unknown> {
  let line: ProgressLine | undefined;
  for (;;) {
    const answer = await api.call({ method: 'GET', path });
    const { image } = answers.image.parse(answer);
    if (image.state === 'ready' || image.state === 'refused') {
      line?.clear();
      return answer;
    }
    line ??= new ProgressLine('convert', 100, tools);
    line.show(image.percent ?? 0);
    await sleep(ASK_EVERY_MS, undefined, { signal: tools.interrupted });
  }
}
