// `muster images …`: what machines boot.
import { resolve } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { IMAGE_FAMILIES, type ImageFamily } from '../images/boot-image.ts';
import { formatImageReference, parseImageReference } from '../images/image-reference.ts';
import { parsePlatform, type Platform } from '../images/os-image.ts';
import { answers, type ImageAnswer } from './api-answers.ts';
import { addChannelsCommand } from './channels-command.ts';
import { CliError } from './cli-error.ts';
import type { CommandTools } from './command-tools.ts';
import { formatImage, formatImages } from './format-images.ts';
import { formatBytes } from './format-quantities.ts';
import { openBootFiles } from './import/boot-files-source.ts';
import { fileOnDisk, type ImageSource } from './import/image-source.ts';
import { openSource, SOURCE_FORMS } from './import/open-source.ts';
import { pushSource } from './import/push-source.ts';
import { layoutOf } from './layout.ts';
import { parseAssignment } from './parse-arguments.ts';
import { addSignatureCommands } from './signatures-command.ts';
import { waitForConversion } from './wait-for-conversion.ts';
import { withRegistry } from './with-registry.ts';

const PARTS = ['kernel', 'initrd', 'squashfs'] as const;
type Part = (typeof PARTS)[number];

interface ImportOptions {
  readonly name?: string;
  readonly platform: Platform;
  readonly cmdline?: readonly string[];
  readonly family?: ImageFamily;
  readonly creds?: string;
  readonly wait: boolean;
}

export function addImagesCommand(program: Command, tools: CommandTools): void {
  const images = program.command('images').description('what machines boot: import, list, show, remove, sign, promote');

  images
    .command('list')
    .description('all images, their tags and whether machines can boot them')
    .action(async () => {
      const answer = await (await tools.api()).call({ method: 'GET', path: '/images' });
      const { images: found } = answers.images.parse(answer);
      tools.show(answer, () => formatImages(found, tools.clock.now(), layoutOf(tools)));
    });

  images
    .command('show')
    .description('one image, and why it cannot be booted if it cannot')
    .argument('<reference>', 'NAME:TAG, NAME@CHANNEL or NAME@DIGEST')
    .action(async (text: string) => {
      const answer = await (await tools.api()).call({ method: 'GET', path: pathOf(text) });
      const { image } = answers.image.parse(answer);
      tools.show(answer, () => formatImage(image, tools.clock.now(), layoutOf(tools)));
    });

  images
    .command('gc')
    .description('remove what no tag, channel or machine needs; the server does it by itself every now and then')
    .option('--dry-run', 'only say what would be removed')
    .option('--grace <seconds>', 'what was pushed or untagged more recently stays', Number, 3600)
    .action(async ({ dryRun = false, grace }: { dryRun?: boolean; grace: number }) => {
      const body = { dryRun, graceSeconds: grace };
      const answer = await (await tools.api()).call({ method: 'POST', path: '/images/gc', json: body });
      const { digests, sizeBytes } = answers.collection.parse(answer);
      const verb = dryRun ? 'would be removed' : 'removed';
      tools.show(answer, () => `  ${digests.length} blobs ${verb}, ${formatBytes(sizeBytes)}\n`);
    });

  images
    .command('import')
    .description('bring an image to the server, from a container image or from kernel, initrd and squashfs')
    .argument('<source>', `${SOURCE_FORMS}; or a name, with kernel=FILE initrd=FILE squashfs=FILE`)
    .argument('[parts...]', 'kernel=FILE initrd=FILE squashfs=FILE')
    .option('--name <name>', 'such as fleet/os or fleet/os:2026-01')
    .option('--platform <platform>', 'which image of several', parsePlatformOption, {
      os: 'linux',
      architecture: 'amd64',
    })
    .option('--cmdline <words...>', 'words for the kernel command line that this image needs')
    .option('--family <family>', `how the initrd finds its root: ${IMAGE_FAMILIES.join(', ')}`, parseFamily)
    .option('--creds <user:password>', 'for docker://')
    .option('--no-wait', 'do not wait until machines can boot it')
    .action(async (source: string, words: string[], options: ImportOptions) => {
      const target = targetOf(words.length > 0 ? source : options.name);
      const opened = await openImage(source, words, options, tools);
      try {
        await withRegistry(tools, (client) => pushSource(opened, target, client, tools));
      } finally {
        await opened.close?.();
      }
      await showImported(target, options, tools);
    });

  images
    .command('remove')
    .description('take a tag away, or an image with all its tags; what nothing needs any more is collected later')
    .argument('<reference>', 'NAME:TAG or NAME@DIGEST')
    .action(async (text: string) => {
      const answer = await (await tools.api()).call({ method: 'DELETE', path: pathOf(text) });
      tools.show(answer, () => `  image ${tools.style.strong(text)} is removed\n`);
    });

  addSignatureCommands(images, tools);
  addChannelsCommand(images, tools);
}

function openImage(
  source: string,
  words: readonly string[],
  { platform, cmdline = [], family, creds }: ImportOptions,
  tools: CommandTools,
): Promise<ImageSource> {
  const commandLine = cmdline.flatMap((word) => word.split(/\s+/)).filter((word) => word !== '');
  if (words.length === 0) return openSource(source, { platform, family, commandLine, credentials: creds }, tools);
  return openParts(words, { platform, family: family ?? 'dracut-livenet', commandLine }, tools);
}

async function openParts(
  words: readonly string[],
  { platform, family, commandLine }: { platform: Platform; family: ImageFamily; commandLine: readonly string[] },
  tools: CommandTools,
): Promise<ImageSource> {
  const paths = filesOf(words, tools.workingDirectory);
  const kernel = await fileOnDisk(paths.kernel);
  const initrd = await fileOnDisk(paths.initrd);
  const squashfs = await fileOnDisk(paths.squashfs);
  const { architecture } = platform;
  return openBootFiles({ kernel, initrd, squashfs, family }, { commandLine, architecture }, tools);
}

async function showImported(
  { name, tag }: { readonly name: string; readonly tag: string },
  { wait }: ImportOptions,
  tools: CommandTools,
): Promise<void> {
  const path = pathOf(`${name}:${tag}`);
  const api = await tools.api();
  const answer = await (wait ? waitForConversion(path, api, tools) : api.call({ method: 'GET', path })).catch(
    (error: unknown) => {
      if (!(error instanceof CliError) || error.code !== 'not-found') throw error;
      throw new CliError('invalid-request', `${name}:${tag} is stored, but it is not an image of an operating system.`);
    },
  );
  const { image } = answers.image.parse(answer);
  tools.show(answer, () => importedRemark(image, `${name}:${tag}`, tools));
  if (image.refusal !== undefined)
    throw new CliError(
      image.refusal.code,
      `${name}:${tag} is stored, but no machine can boot it: ${image.refusal.detail}`,
    );
}

function importedRemark({ state }: ImageAnswer, text: string, { style }: CommandTools): string {
  if (state === 'refused') return '';
  if (state === 'ready') return `  ${style.good('✓')} image ${style.strong(text)} is ready\n`;
  return `  image ${style.strong(text)} is stored and will be converted\n`;
}

function pathOf(text: string): string {
  return `/images/${formatImageReference(referenceOf(text)).split('/').map(encodeURIComponent).join('/')}`;
}

function targetOf(text: string | undefined): { name: string; tag: string } {
  if (text === undefined)
    throw new CliError(
      'invalid-request',
      'The image needs a name.\nFix: --name fleet/os or --name fleet/os:2026-01.',
      2,
    );
  const reference = referenceOf(text);
  if (reference.kind === 'tag') return { name: reference.name, tag: reference.tag };
  throw new CliError('invalid-request', `${text} is no tag; an import gives a tag.\nFix: write NAME or NAME:TAG.`, 2);
}

function referenceOf(text: string): NonNullable<ReturnType<typeof parseImageReference>> {
  const reference = parseImageReference(text);
  if (reference !== undefined) return reference;
  throw new CliError(
    'invalid-request',
    `${JSON.stringify(text)} cannot be the name of an image.\nFix: lower-case letters, digits, dots and dashes, as in debian-12 or fleet/os:2026-01.`,
    2,
  );
}

function parsePlatformOption(text: string): Platform {
  const platform = parsePlatform(text);
  if (platform === undefined) throw new InvalidArgumentError('Write a platform like linux/amd64.');
  return platform;
}

function parseFamily(text: string): ImageFamily {
  const family = IMAGE_FAMILIES.find((known) => known === text);
  if (family === undefined) throw new InvalidArgumentError(`Write one of ${IMAGE_FAMILIES.join(', ')}.`);
  return family;
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
