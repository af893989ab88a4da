// Reads the profiles and the cloud-configs that they name, and checks all of them before anything is served: a file that is
// wrong stops the start with its line and column. Files only; what they mean is machines/ and cloud-config/.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cloudConfigSchema, type CloudConfig } from '../cloud-config/cloud-config.ts';
import { PLACEHOLDER_NAMES, unknownPlaceholders } from '../cloud-config/placeholders.ts';
import { formatComplaints, parseYamlDocument } from '../cloud-config/yaml-document.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import { profileSchema, type Profile } from '../machines/profile.ts';
import type { z } from 'zod';

export interface Configuration {
  readonly profiles: readonly Profile[];
  /** Cloud-configs by name: the file's name without its ending. */
  readonly layers: ReadonlyMap<string, CloudConfig>;
}

/** Throws AppError 'invalid-profile' or 'invalid-cloud-config' that names every fault of the first kind found. */
export async function loadConfiguration(folders: {
  readonly profilesDirectory: string;
  readonly cloudConfigDirectory: string;
}): Promise<Configuration> {
  const layerFiles = await loadFolder(folders.cloudConfigDirectory, cloudConfigSchema, 'invalid-cloud-config');
  const profileFiles = await loadFolder(folders.profilesDirectory, profileSchema, 'invalid-profile');
  const layers = new Map(layerFiles.map(({ name, value }) => [name, value]));
  const complaints = [
    ...layerFiles.flatMap(({ path, value }) => placeholderComplaints(path, value)),
    ...profileFiles.flatMap(({ path, value }) => [
      ...placeholderComplaints(path, value.hostname),
      ...value.cloudConfig
        .filter((name) => !layers.has(name))
        .map((name) => `${path}: cloudConfig: there is no ${join(folders.cloudConfigDirectory, name)}.yaml`),
    ]),
    ...doubleNames(profileFiles),
  ];
  if (complaints.length > 0) throw new AppError('invalid-profile', complaints.join('\n'));
  return { profiles: profileFiles.map(({ value }) => value), layers };
}

interface LoadedFile<T> {
  readonly path: string;
  readonly name: string;
  readonly value: T;
}

/** Every .yaml file of the folder, by name. A folder that does not exist is an empty one. */
async function loadFolder<T>(folder: string, schema: z.ZodType<T>, code: ErrorCode): Promise<readonly LoadedFile<T>[]> {
  const loaded: LoadedFile<T>[] = [];
  const faults: string[] = [];
  for (const file of await yamlFiles(folder, code)) {
    const path = join(folder, file);
    const parsed = parseYamlDocument(await readFile(path, 'utf8'), schema);
    if (parsed.kind === 'value') loaded.push({ path, name: file.replace(/\.ya?ml$/, ''), value: parsed.value });
    else faults.push(formatComplaints(path, parsed.complaints));
  }
  if (faults.length > 0) throw new AppError(code, faults.join('\n'));
  return loaded;
}

async function yamlFiles(folder: string, code: ErrorCode): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((file) => /\.ya?ml$/.test(file)).sort();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw new AppError(code, `${folder}: cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function placeholderComplaints(path: string, value: unknown): readonly string[] {
  return unknownPlaceholders(value).map(
    (name) =>
      `${path}: {{ ${name} }} stands for nothing; there are ${PLACEHOLDER_NAMES.map((known) => `muster.${known}`).join(', ')} and muster.labels.<name>`,
  );
}

function doubleNames(files: readonly LoadedFile<Profile>[]): readonly string[] {
  const seen = new Map<string, string>();
  return files.flatMap(({ path, value }) => {
    const first = seen.get(value.name);
    seen.set(value.name, path);
    return first === undefined ? [] : [`${path}: name: ${value.name} is also the name of ${first}`];
  });
}
