// `muster images channels …`: where stable, beta and the like point to.
import type { Command } from 'commander';
import { parseImageReference } from '../images/image-reference.ts';
import { channelAnswers } from './channel-answers.ts';
import { CliError } from './cli-error.ts';
import type { CommandTools } from './command-tools.ts';
import { formatChannels, formatHistory, formatMove } from './format-channels.ts';
import { layoutOf } from './layout.ts';
import { parseCount } from './parse-arguments.ts';

export function addChannelsCommand(images: Command, tools: CommandTools): void {
  const channels = images
    .command('channels')
    .description('where channels point to: list, promote, rollback, remove, history');

  channels
    .command('list')
    .description('all channels, or those of one image')
    .argument('[name]', 'such as fleet/os')
    .action(async (name?: string) => {
      const query = { image: name };
      const answer = await (await tools.api()).call({ method: 'GET', path: '/channels', query });
      const { channels: found } = channelAnswers.channels.parse(answer);
      tools.show(answer, () => formatChannels(found, tools.clock.now(), layoutOf(tools)));
    });

  channels
    .command('promote')
    .description('point a channel to an image, if its signatures allow it; machines get it at their next boot')
    .argument('<channel>', 'NAME@CHANNEL, such as fleet/os@stable')
    .requiredOption('--to <reference>', 'NAME:TAG, NAME@CHANNEL or NAME@DIGEST')
    .requiredOption('--note <text>', 'why, for the history')
    .action(async (text: string, { to, note }: { to: string; note: string }) => {
      const json = { ...parseChannel(text), to, note };
      const answer = await (await tools.api()).call({ method: 'POST', path: '/channels/promote', json });
      const moved = channelAnswers.moved.parse(answer);
      tools.show(answer, () => formatMove(moved, tools.style));
    });

  channels
    .command('rollback')
    .description('point a channel to the release before the present one; again: to the one before that')
    .argument('<channel>', 'NAME@CHANNEL')
    .option('--note <text>', 'why, for the history', '')
    .action(async (text: string, { note }: { note: string }) => {
      const json = { ...parseChannel(text), note };
      const answer = await (await tools.api()).call({ method: 'POST', path: '/channels/rollback', json });
      const moved = channelAnswers.moved.parse(answer);
      tools.show(answer, () => formatMove(moved, tools.style));
    });

  channels
    .command('remove')
    .description('end a channel: machines whose profile names it wait, its images may be collected, its history stays')
    .argument('<channel>', 'NAME@CHANNEL')
    .requiredOption('--note <text>', 'why, for the history')
    .action(async (text: string, { note }: { note: string }) => {
      const query = { ...parseChannel(text), note };
      const answer = await (await tools.api()).call({ method: 'DELETE', path: '/channels', query });
      const moved = channelAnswers.moved.parse(answer);
      tools.show(answer, () => formatMove(moved, tools.style));
    });

  channels
    .command('history')
    .description('every move of a channel, newest first; also of one that was removed')
    .argument('<channel>', 'NAME@CHANNEL')
    .option('--limit <count>', 'at most so many', parseCount, 50)
    .action(async (text: string, { limit }: { limit: number }) => {
      const query = { ...parseChannel(text), limit };
      const answer = await (await tools.api()).call({ method: 'GET', path: '/channels/history', query });
      const { moves } = channelAnswers.history.parse(answer);
      tools.show(answer, () => formatHistory(moves, tools.clock.now(), layoutOf(tools)));
    });
}

function parseChannel(text: string): { readonly image: string; readonly channel: string } {
  const reference = parseImageReference(text);
  if (reference?.kind === 'channel') return { image: reference.name, channel: reference.channel };
  throw new CliError(
    'invalid-request',
    `${JSON.stringify(text)} is not a channel.\nFix: write NAME@CHANNEL, as in fleet/os@stable.`,
    2,
  );
}
