// `muster config check`: would the server start with these files? Reads them as the server does, and starts nothing.
import type { Command } from 'commander';
import { loadConfiguration } from '../settings/load-configuration.ts';
import type { CommandTools } from './command-tools.ts';

export function addConfigCommand(program: Command, tools: CommandTools): void {
  program
    .command('config')
    .description('settings, profiles and cloud-config: check')
    .command('check')
    .description('read settings, profiles and cloud-config, and say what is wrong')
    .action(async () => {
      const { settings, file } = await tools.settings();
      const { profiles, layers } = await loadConfiguration(settings);
      const answer = {
        settingsFile: file ?? null,
        settings,
        profiles: profiles.map((profile) => profile.name),
        cloudConfig: [...layers.keys()],
      };
      const tick = tools.style.good('✓');
      tools.show(answer, () =>
        [
          `  ${tick} settings      ${file ?? 'defaults (no file)'}\n`,
          `  ${tick} profiles      ${profiles.length} in ${settings.profilesDirectory}\n`,
          `  ${tick} cloud-config  ${layers.size} in ${settings.cloudConfigDirectory}\n`,
        ].join(''),
      );
    });
}
