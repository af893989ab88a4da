// Reads the settings file and hands it, with the environment, to parse-settings.ts. The only place that touches the disk
// for settings.
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { AppError } from '../errors.ts';
import { parseSettings, type Environment } from './parse-settings.ts';
import type { Settings } from './schema.ts';

const FILE_LIMIT_BYTES = 256 * 1024;
const STANDARD_FILE = 'config/muster.yaml';

export interface SettingsSource {
  /** Named by a person (--config, MUSTER_CONFIG): must exist. Relative to `workingDirectory`. */
  readonly file?: string | undefined;
  readonly workingDirectory: string;
  /** Muster's own folder: relative folders in the settings and the standard file start here. */
  readonly baseDirectory: string;
  readonly environment: Environment;
}

export interface LoadedSettings {
  readonly settings: Settings;
  /** Path of the file that was read; undefined where there is none and the defaults hold. */
  readonly file: string | undefined;
}

/** Throws AppError('invalid-settings'). Without a named file the standard one may be missing. */
export async function loadSettings(source: SettingsSource): Promise<LoadedSettings> {
  const named = source.file === undefined ? undefined : resolve(source.workingDirectory, source.file);
  const path = named ?? resolve(source.baseDirectory, STANDARD_FILE);
  const text = await readCapped(path);
  if (text === undefined && named !== undefined) {
    throw new AppError(
      'invalid-settings',
      `${path}: there is no such settings file.\nFix: correct the path, or leave --config and MUSTER_CONFIG out.`,
    );
  }
  const settings = parseSettings({ name: path, text: text ?? '' }, source.environment);
  const absolute = (folder: string) => resolve(source.baseDirectory, folder);
  return {
    file: text === undefined ? undefined : path,
    settings: Object.freeze({
      ...settings,
      dataDirectory: absolute(settings.dataDirectory),
      profilesDirectory: absolute(settings.profilesDirectory),
      cloudConfigDirectory: absolute(settings.cloudConfigDirectory),
      upgrades: Object.freeze({
        ...settings.upgrades,
        releaseKeys: Object.freeze(settings.upgrades.releaseKeys.map(absolute)),
        operatorKeys: Object.freeze(settings.upgrades.operatorKeys.map(absolute)),
      }),
      images: Object.freeze({
        ...settings.images,
        keys: Object.freeze(settings.images.keys.map(absolute)),
        upstream: Object.freeze(
          settings.images.upstream.map(({ passwordFile, caFile, ...rest }) =>
            Object.freeze({
              ...rest,
              ...(passwordFile !== undefined && { passwordFile: absolute(passwordFile) }),
              ...(caFile !== undefined && { caFile: absolute(caFile) }),
            }),
          ),
        ),
      }),
    }),
  };
}

/** The file's text, or undefined where there is no file. */
async function readCapped(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path, 'r');
    const buffer = Buffer.alloc(FILE_LIMIT_BYTES + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > FILE_LIMIT_BYTES) {
      throw new AppError(
        'invalid-settings',
        `${path}: larger than ${FILE_LIMIT_BYTES / 1024} KiB.\nFix: check that this is the settings file.`,
      );
    }
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    if (error instanceof AppError) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return undefined;
    const reason = error instanceof Error ? error.message : String(error);
    throw new AppError('invalid-settings', `${path}: cannot be read: ${reason}\nFix: check its permissions.`, {
      cause: error,
    });
  }
}
