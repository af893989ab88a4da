// `muster status`: is the server there, where does it listen, how is the fleet.
import type { Command } from 'commander';
import { answers, type StatusAnswer } from './api-answers.ts';
import type { CommandTools } from './command-tools.ts';
import { formatDuration } from './format-quantities.ts';
import { formatFacts } from './format-table.ts';
import { printable, type Style } from './style.ts';

export function addStatusCommand(program: Command, tools: CommandTools): void {
  program
    .command('status')
    .description('the server: version, addresses, machines by state')
    .action(async () => {
      const answer = await (await tools.api()).call({ method: 'GET', path: '/status' });
      const status = answers.status.parse(answer);
      tools.show(answer, () => formatStatus(status, tools.style));
    });
}

function formatStatus(status: StatusAnswer, style: Style): string {
  const counts = Object.entries(status.machines).filter(([, count]) => count > 0);
  const addresses = Object.entries(status.addresses).map(([name, where]): [string, string] => [
    name,
    listed(where).join('\n'),
  ]);
  return [
    '\n',
    `  ${style.good('●')} ${style.strong(`Muster ${status.version}`)} up for ${formatDuration(status.uptimeSeconds * 1000)}\n`,
    '\n',
    formatFacts(
      [...addresses, ['machines', counts.map(([state, count]) => `${count} ${state}`).join(', ') || 'none']],
      style,
    ),
    '\n',
  ].join('');
}

/** One line for each place: a text, a list of texts, or an object such as a port with its address. */
function listed(where: unknown): readonly string[] {
  if (Array.isArray(where)) return where.flatMap(listed);
  if (typeof where !== 'object' || where === null) return [printable(String(where))];
  return [
    Object.entries(where)
      .map(([name, value]) => `${name} ${printable(String(value))}`)
      .join(', '),
  ];
}
