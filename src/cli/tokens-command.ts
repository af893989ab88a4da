// `muster tokens …`: enrollment tokens for machines that do not come by network boot.
import { Option, type Command } from 'commander';
import { answers } from './api-answers.ts';
import type { CommandTools } from './command-tools.ts';
import { formatTokenRemark, formatTokens } from './format-tokens.ts';
import { layoutOf } from './layout.ts';
import { collectLabel, parseCount, parseDurationSeconds, parseMac } from './parse-arguments.ts';

interface CreateOptions {
  readonly ttl: number;
  readonly uses?: number;
  readonly mac?: string;
  readonly uuid?: string;
  readonly serial?: string;
  readonly profile?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly note?: string;
}

const FIFTEEN_MINUTES = 900;

export function addTokensCommand(program: Command, tools: CommandTools): void {
  const tokens = program.command('tokens').description('enrollment tokens: create, list, revoke');

  tokens
    .command('create')
    .description('make a token; it alone is printed to standard output, and never shown again')
    .addOption(
      new Option('--ttl <time>', 'how long it is good: 90s, 15m, 2h, 7d')
        .argParser(parseDurationSeconds)
        .default(FIFTEEN_MINUTES, '15m'),
    )
    .option('--uses <count>', 'how many machines may use it', parseCount)
    .option('--mac <mac>', 'only for this MAC address', parseMac)
    .option('--uuid <uuid>', 'only for this system UUID')
    .option('--serial <serial>', 'only for this serial number')
    .option('--profile <name>', 'the profile that its machine gets')
    .option('--label <key=value>', 'a label that its machine gets (repeatable)', collectLabel)
    .option('--note <text>', 'a remark for the list')
    .action(async ({ ttl, label, ...rest }: CreateOptions) => {
      const json = { ttlSeconds: ttl, ...rest, ...(label === undefined ? {} : { labels: label }) };
      const answer = await (await tools.api()).call({ method: 'POST', path: '/tokens', json });
      const { token, record } = answers.newToken.parse(answer);
      if (!tools.isJson()) tools.errors.write(formatTokenRemark(record, tools.clock.now(), tools.errorStyle));
      tools.show(answer, () => `${token}\n`);
    });

  tokens
    .command('list')
    .description('tokens that are still open')
    .option('--all', 'also those that have ended, are used up or revoked')
    .action(async ({ all }: { all?: boolean }) => {
      const query = { all: all === true ? 1 : undefined };
      const answer = await (await tools.api()).call({ method: 'GET', path: '/tokens', query });
      const { tokens: found } = answers.tokens.parse(answer);
      tools.show(answer, () => formatTokens(found, tools.clock.now(), layoutOf(tools)));
    });

  tokens
    .command('revoke')
    .description('close a token at once; certificates that it gave stay good')
    .argument('<id>', 'as in the list')
    .action(async (id: string) => {
      const path = `/tokens/${encodeURIComponent(id)}/revoke`;
      const answer = await (await tools.api()).call({ method: 'POST', path, json: {} });
      const { record } = answers.revokedToken.parse(answer);
      tools.show(answer, () => formatTokenRemark(record, tools.clock.now(), tools.style));
    });
}
