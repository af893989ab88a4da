// From the words of `images import` to the source of an image.
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { ImageFamily } from '../../images/boot-image.ts';
import type { Platform } from '../../images/os-image.ts';
import { parseRegistryAddress } from '../../registry-client/registry-address.ts';
import { CliError } from '../cli-error.ts';
import type { CommandTools } from '../command-tools.ts';
import { bootFilesInIso, openBootFiles } from './boot-files-source.ts';
import { openDockerArchive } from './docker-archive-source.ts';
import { openFolder } from './folder-source.ts';
import { fileOnDisk, type ImageSource } from './image-source.ts';
import { openOciLayout } from './oci-layout-source.ts';
import { openRegistryImage } from './registry-source.ts';
import { filesInFolder, filesInTar } from './source-files.ts';

export interface SourceOptions {
  readonly platform: Platform;
  /** For an ISO, whose initrd cannot be asked. */
  readonly family?: ImageFamily | undefined;
  readonly commandLine: readonly string[];
  /** `user:password` for docker://. */
  readonly credentials?: string | undefined;
}

export const SOURCE_FORMS =
  'oci:FOLDER[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], docker://HOST/NAME:TAG, dir:FOLDER or iso:FILE';

/** Throws CliError for what is no source. */
export async function openSource(text: string, options: SourceOptions, tools: CommandTools): Promise<ImageSource> {
  const [, kind = '', rest = ''] = /^([a-z-]+):(.+)$/.exec(text) ?? [];
  const { platform } = options;
  switch (kind) {
    case 'oci': {
      const { path, tag } = await pathAndTag(rest, tools);
      return openOciLayout({ files: filesInFolder(path), what: path, tag, platform });
    }
    case 'oci-archive':
    case 'docker-archive': {
      const { path, tag } = await pathAndTag(rest, tools);
      const files = await filesInTar(path);
      // What `docker save` writes since version 25 is both.
      const isDocker = kind === 'docker-archive' && (await files.find('manifest.json')) !== undefined;
      if (isDocker) return openDockerArchive({ files, what: path, tag }, tools);
      return openOciLayout({ files, what: path, tag, platform });
    }
    case 'dir':
      return openFolder(resolve(tools.workingDirectory, rest), platform, tools);
    case 'iso': {
      const path = resolve(tools.workingDirectory, rest);
      const found = await bootFilesInIso(path, await fileOnDisk(path));
      const files = { ...found, family: options.family ?? found.family };
      return openBootFiles(files, { commandLine: options.commandLine, architecture: platform.architecture }, tools);
    }
    case 'docker':
      return openRemote(text, options, tools);
    default:
      throw new CliError(
        'invalid-request',
        `${JSON.stringify(text)} is no source of images.\nFix: give ${SOURCE_FORMS}.`,
        2,
      );
  }
}

async function openRemote(text: string, options: SourceOptions, tools: CommandTools): Promise<ImageSource> {
  const address = parseRegistryAddress(text);
  if (address === undefined)
    throw new CliError(
      'invalid-request',
      `${text} is no address.\nFix: write docker://HOST[:PORT]/NAME:TAG or docker://HOST[:PORT]/NAME@DIGEST.`,
      2,
    );
  return openRegistryImage(address, options, tools);
}

/** A colon may belong to the path; the longest path that is there counts. */
async function pathAndTag(text: string, tools: CommandTools): Promise<{ path: string; tag?: string }> {
  const isThere = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined;
  for (let end = text.length; end > 0; end = text.lastIndexOf(':', end - 1)) {
    const path = resolve(tools.workingDirectory, text.slice(0, end));
    if (await isThere(path)) return { path, ...(end < text.length && { tag: text.slice(end + 1) }) };
  }
  throw new CliError('invalid-request', `${resolve(tools.workingDirectory, text)} is not there.`, 2);
}
