// `muster events`: what happened, and what happens now.
import type { Command } from 'commander';
import type { BootEvent } from '../events/boot-event.ts';
import { answers } from './api-answers.ts';
import type { CommandTools } from './command-tools.ts';
import { followEvents } from './follow-events.ts';
import { formatEvent } from './format-events.ts';
import { parseCount, parseSeq } from './parse-arguments.ts';

interface EventsOptions {
  readonly follow?: boolean;
  readonly machine?: string;
  readonly kind?: string;
  readonly sinceSeq?: number;
  readonly limit?: number;
}

/** Before the live ones, so many that were: enough to see what led to now. */
const SHOWN_BEFORE_FOLLOWING = 10;

export function addEventsCommand(program: Command, tools: CommandTools): void {
  program
    .command('events')
    .description('what happened to the machines; with --follow as it happens, until Ctrl+C')
    .option('-f, --follow', 'go on with what happens; with --json one event a line')
    .option('--machine <ref>', 'only of this machine: id, its beginning, MAC address or host name')
    .option('--kind <kind>', 'only of this kind, for example enrolled or boot-refused')
    .option('--since-seq <seq>', 'only after the event with this number', parseSeq)
    .option('--limit <count>', 'at most so many (the newest)', parseCount)
    .action(async (options: EventsOptions) => {
      const api = await tools.api();
      const { machine, kind, sinceSeq } = options;
      const print = (event: BootEvent): void => {
        tools.output.write(tools.isJson() ? `${JSON.stringify(event)}\n` : formatEvent(event, tools.style));
      };
      if (options.follow === true && sinceSeq !== undefined && options.limit === undefined) {
        // The stream itself replays all that came since: nothing is passed over, however much it is.
        for await (const event of followEvents(api, { machine, kind, afterSeq: sinceSeq }, tools)) print(event);
        return;
      }
      const limit = options.limit ?? (options.follow === true ? SHOWN_BEFORE_FOLLOWING : undefined);
      const query = { machine, kind, after: sinceSeq, limit };
      const answer = await api.call({ method: 'GET', path: '/events', query });
      const { events } = answers.events.parse(answer);
      if (options.follow !== true) {
        const nothing = '  Nothing has happened yet.\n';
        tools.show(answer, () => events.map((event) => formatEvent(event, tools.style)).join('') || nothing);
        return;
      }
      events.forEach(print);
      const afterSeq = await newestSeq(events, sinceSeq, async () => {
        const newest = await api.call({ method: 'GET', path: '/events', query: { limit: 1 } });
        return answers.events.parse(newest).events.at(-1)?.seq ?? 0;
      });
      for await (const event of followEvents(api, { machine, kind, afterSeq }, tools)) print(event);
    });
}

/** Where following begins: after what was printed, else after what was asked for, else after all that is on record. */
async function newestSeq(
  events: readonly BootEvent[],
  sinceSeq: number | undefined,
  ask: () => Promise<number>,
): Promise<number> {
  return events.at(-1)?.seq ?? sinceSeq ?? (await ask());
}
