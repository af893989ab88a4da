// `muster images …`: what machines boot.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { IMAGE_NAME_PATTERN } from '../images/image.ts';
import { answers } from './api-answers.ts';
import { CliError } from './cli-error.ts';
import type { CommandTools } from './command-tools.ts';
import { formatImages } from './format-images.ts';
import { layoutOf } from './layout.ts';
import { parseAssignment } from './parse-arguments.ts';
import { uploadFile } from './upload-file.ts';

const PARTS = ['kernel', 'initrd', 'squashfs'] as const;
type Part = (typeof PARTS)[number];

export function addImagesCommand(program: Command, tools: CommandTools): void {
  const images = program.command('images').description('what machines boot: list, import, remove');

  images
    .command('list')
    .description('all images')
    .action(async () => {
      const answer = await (await tools.api()).call({ method: 'GET', path: '/images' });
      const { images: found } = answers.images.parse(answer);
      tools.show(answer, () => formatImages(found, tools.clock.now(), layoutOf(tools)));
    });

  images
    .command('import')
    .description('add an image, or put another in its place: kernel=FILE initrd=FILE squashfs=FILE')
    .argument('<name>', 'such as debian-12 or fleet/os')
    .argument('<parts...>', 'kernel=FILE initrd=FILE squashfs=FILE')
    .option('--cmdline <words...>', 'words for the kernel command line that this image needs')
    .action(async (name: string, words: string[], { cmdline = [] }: { cmdline?: string[] }) => {
      checkName(name);
      const files = filesOf(words, tools.workingDirectory);
      const api = await tools.api();
      const digests: Partial<Record<Part, string>> = {};
      for (const part of PARTS) digests[part] = await uploadFile({ name: part, path: files[part] }, api, tools);
      const commandLine = cmdline.flatMap((word) => word.split(/\s+/)).filter((word) => word !== '');
      const json = { family: 'dracut-livenet', ...digests, commandLine };
      const answer = await api.call({ method: 'PUT', path: pathOf(name), json });
      const { image } = answers.image.parse(answer);
      tools.show(answer, () => `  ${tools.style.good('✓')} image ${tools.style.strong(image.name)} is ready\n`);
    });

  images
    .command('remove')
    .description('forget an image; its files stay while another image has them')
    .argument('<name>')
    .action(async (name: string) => {
      checkName(name);
      const answer = await (await tools.api()).call({ method: 'DELETE', path: pathOf(name) });
      tools.show(answer, () => `  image ${tools.style.strong(name)} is removed\n`);
    });
}

function pathOf(name: string): string {
  return `/images/${name.split('/').map(encodeURIComponent).join('/')}`;
}

function checkName(name: string): void {
  if (IMAGE_NAME_PATTERN.test(name)) return;
  throw new CliError(
    'invalid-request',
    `${JSON.stringify(name)} cannot be the name of an image.\nFix: lower-case letters, digits, dots and dashes, as in debian-12 or fleet/os.`,
    2,
  );
}

function filesOf(words: readonly string[], workingDirectory: string): Readonly<Record<Part, string>> {
  const given = new Map(words.map(parseAssignment));
  const unknown = [...given.keys()].find((part) => !PARTS.some((known) => known === part));
  if (unknown !== undefined) throw wrongParts(`${JSON.stringify(unknown)} is no part of an image`);
  const pathFor = (part: Part): string => {
    const path = given.get(part) ?? '';
    if (path === '') throw wrongParts(`${part}=FILE is missing`);
    return resolve(workingDirectory, path);
  };
  return { kernel: pathFor('kernel'), initrd: pathFor('initrd'), squashfs: pathFor('squashfs') };
}

function wrongParts(reason: string): CliError {
  return new CliError('invalid-request', `${reason}.\nFix: give kernel=FILE initrd=FILE squashfs=FILE.`, 2);
}
