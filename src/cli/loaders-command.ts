// `muster loaders …`: what firmware is given first.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { parseLoaderCatalogue } from '../images/loaders/loaders.ts';
import { answers } from './api-answers.ts';
import type { CommandTools } from './command-tools.ts';
import { formatLoaders } from './format-images.ts';
import { layoutOf } from './layout.ts';
import { uploadFile } from './upload-file.ts';

export function addLoadersCommand(program: Command, tools: CommandTools): void {
  const loaders = program.command('loaders').description('boot loaders: list, import');

  loaders
    .command('list')
    .description('the loaders that are served, and where they come from')
    .action(async () => {
      const answer = await (await tools.api()).call({ method: 'GET', path: '/loaders' });
      const { loaders: found } = answers.loaders.parse(answer);
      tools.show(answer, () => formatLoaders(found, layoutOf(tools)));
    });

  loaders
    .command('import')
    .description("send this machine's installed loaders to the server, which takes them up at its next start")
    .action(async () => {
      const catalogue = await readFile(join(tools.baseDirectory, 'boot-assets/loaders.yaml'), 'utf8');
      const api = await tools.api();
      const sent: { name: string; digest: string; tested: boolean }[] = [];
      for (const loader of parseLoaderCatalogue(catalogue)) {
        const digest = await uploadFile({ name: loader.name, path: loader.file }, api, tools);
        const tested = loader.versions.some(({ sha256 }) => digest === `sha256:${sha256}`);
        sent.push({ name: loader.name, digest, tested });
      }
      tools.show({ loaders: sent }, () =>
        sent.map(({ name, tested }) => `  ${name}${tested ? '' : tools.style.warn('  untested version')}\n`).join(''),
      );
    });
}
