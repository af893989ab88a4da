// Every command but `serve`, one file each.
import type { Command } from 'commander';
import type { CommandTools } from './command-tools.ts';
import { addConfigCommand } from './config-command.ts';
import { addEventsCommand } from './events-command.ts';
import { addImagesCommand } from './images-command.ts';
import { addLoadersCommand } from './loaders-command.ts';
import { addMachinesCommand } from './machines-command.ts';
import { addRolloutsCommand } from './rollouts-command.ts';
import { addStatusCommand } from './status-command.ts';
import { addTokensCommand } from './tokens-command.ts';

export function addCommands(program: Command, tools: CommandTools): void {
  addStatusCommand(program, tools);
  addMachinesCommand(program, tools);
  addEventsCommand(program, tools);
  addImagesCommand(program, tools);
  addRolloutsCommand(program, tools);
  addTokensCommand(program, tools);
  addLoadersCommand(program, tools);
  addConfigCommand(program, tools);
}
