// `muster machines …`: who is there, what became of it, and who may come in.
import { Option, type Command } from 'commander';
import { MACHINE_STATES } from '../machines/machine.ts';
import { answers } from './api-answers.ts';
import type { CommandTools } from './command-tools.ts';
import { formatExplanation, formatMachine, formatMachines, formatStateChange } from './format-machines.ts';
import { formatTimeline } from './format-timeline.ts';
import { layoutOf } from './layout.ts';
import { printable } from './style.ts';

const REF = 'id, its beginning, MAC address or host name';

export function addMachinesCommand(program: Command, tools: CommandTools): void {
  const machines = program.command('machines').description('the fleet: list, show, approve, retire, explain');
  const { style } = tools;

  machines
    .command('list')
    .description('all machines, those seen last first')
    .addOption(new Option('--state <state>', 'only those in this state').choices([...MACHINE_STATES]))
    .action(async ({ state }: { state?: string }) => {
      const answer = await (await tools.api()).call({ method: 'GET', path: '/machines', query: { state } });
      const { machines: found } = answers.machines.parse(answer);
      tools.show(answer, () => formatMachines(found, tools.clock.now(), layoutOf(tools)));
    });

  machines
    .command('show')
    .description('one machine: its facts, and its latest boot step by step')
    .argument('<ref>', REF)
    .action(async (ref: string) => {
      const answer = await (await tools.api()).call({ method: 'GET', path: pathOf(ref) });
      const { machine, events } = answers.machineWithEvents.parse(answer);
      tools.show(answer, () => formatMachine(machine, tools.clock.now(), style) + formatTimeline(events, style));
    });

  for (const verb of ['approve', 'retire'] as const) {
    machines
      .command(verb)
      .description(
        verb === 'approve' ? 'let a machine boot and join' : 'take a machine out: it neither boots nor joins',
      )
      .argument('<ref>', REF)
      .action(async (ref: string) => {
        const answer = await (await tools.api()).call({ method: 'POST', path: `${pathOf(ref)}/${verb}`, json: {} });
        const { machine } = answers.machine.parse(answer);
        tools.show(answer, () => formatStateChange(machine, style));
      });
  }

  machines
    .command('pin')
    .description('keep a machine as it is, whatever rollouts say')
    .argument('<ref>', REF)
    .requiredOption('--note <text>', 'why')
    .action(async (ref: string, { note }: { note: string }) => {
      const answer = await (await tools.api()).call({ method: 'PUT', path: `${pathOf(ref)}/pin`, json: { note } });
      tools.show(answer, () => `  ${style.good('✓')} ${printable(ref)} is pinned\n`);
    });
  machines
    .command('unpin')
    .description('let rollouts have a machine again')
    .argument('<ref>', REF)
    .action(async (ref: string) => {
      const answer = await (await tools.api()).call({ method: 'DELETE', path: `${pathOf(ref)}/pin` });
      tools.show(answer, () => `  ${style.good('✓')} ${printable(ref)} is pinned no more\n`);
    });
  machines
    .command('reinstall')
    .description(
      'netboot a machine at its next start and install it anew; what its disk holds is lost where force is set',
    )
    .argument('<ref>', REF)
    .action(async (ref: string) => {
      const answer = await (await tools.api()).call({ method: 'POST', path: `${pathOf(ref)}/reinstall`, json: {} });
      tools.show(answer, () => `  ${style.good('✓')} ${printable(ref)} is installed anew at its next start\n`);
    });

  machines
    .command('explain')
    .description('which profile a machine gets, and why; also for a MAC address that was never seen')
    .argument('<mac>', REF)
    .action(async (ref: string) => {
      const answer = await (await tools.api()).call({ method: 'GET', path: `${pathOf(ref)}/explain` });
      const explanation = answers.explanation.parse(answer);
      tools.show(answer, () => formatExplanation(explanation, style));
    });
}

function pathOf(ref: string): string {
  return `/machines/${encodeURIComponent(ref)}`;
}
