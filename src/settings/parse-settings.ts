// From the text of a settings file and the environment to frozen Settings. Pure: reading the file is load-settings.ts.
// Every message names the key, the value, the reason and the fix, because it is all that a person sees of a failed start.
import { load, YAMLException } from 'js-yaml';
import type { z } from 'zod';
import { AppError } from '../errors.ts';
import { closestWord } from './closest-word.ts';
import { settingsSchema, type Settings } from './schema.ts';
import { keysOfSection, SETTING_KEYS, valueFromText, type SettingKey } from './setting-keys.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Variables that are Muster's but no settings: they tell where the file and the server are. */
const OTHER_VARIABLES: readonly string[] = [
  'MUSTER_CONFIG',
  'MUSTER_URL',
  'MUSTER_TOKEN',
  'MUSTER_TOKEN_FILE',
  'MUSTER_CA_FILE',
];

/** Throws AppError('invalid-settings') that lists everything that is wrong, not the first thing alone. */
export function parseSettings(
  file: { readonly name: string; readonly text: string },
  environment: Environment,
): Settings {
  const values = parseYaml(file);
  const fromEnvironment = SETTING_KEYS.filter((key) => environment[key.variable] !== undefined);
  const problems = unknownVariables(environment);
  for (const key of fromEnvironment) assign(values, key.path, valueFromText(key, environment[key.variable] ?? ''));
  const result = settingsSchema.safeParse(values);
  if (result.success && problems.length === 0) return result.data;
  for (const issue of result.error?.issues ?? [])
    problems.push(...describeIssue(issue, values, file.name, fromEnvironment));
  throw new AppError('invalid-settings', problems.join('\n\n'));
}

type Values = Record<string, unknown>;

function parseYaml(file: { readonly name: string; readonly text: string }): Values {
  // A file of nothing but comments is no document to js-yaml 5.
  if (file.text.split('\n').every((line) => /^\s*(#.*)?$/.test(line))) return {};
  let content: unknown;
  try {
    content = load(file.text, { maxAliases: 0 });
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    throw new AppError('invalid-settings', `${file.name}: not valid YAML: ${error.message}\nFix: correct that place.`, {
      cause: error,
    });
  }
  if (content === null) return {};
  if (!isValues(content)) {
    throw new AppError('invalid-settings', `${file.name}: must hold "key: value" lines, but is ${show(content)}.`);
  }
  // A section whose keys are all commented out is null to YAML, and means its defaults to a person.
  const isEmptySection = (name: string, value: unknown) => value === null && keysOfSection([name]).length > 0;
  return Object.fromEntries(Object.entries(content).filter(([name, value]) => !isEmptySection(name, value)));
}

function unknownVariables(environment: Environment): string[] {
  const known = [...SETTING_KEYS.map((key) => key.variable), ...OTHER_VARIABLES];
  return Object.keys(environment)
    .filter((name) => name.startsWith('MUSTER_') && !known.includes(name))
    .map((name) => {
      const meant = closestWord(name, known);
      const nearby = known.filter((other) => other.startsWith(name.split('_').slice(0, 2).join('_')));
      return [
        `environment: ${name} is not a variable of Muster.`,
        `Fix: ${meant === undefined ? 'unset it' : `did you mean ${meant}?`}`,
        ...(nearby.length === 0 ? [] : [`Known variables nearby: ${nearby.join(', ')}`]),
      ].join('\n');
    });
}

function describeIssue(
  issue: z.core.$ZodIssue,
  values: Values,
  fileName: string,
  fromEnvironment: readonly SettingKey[],
): readonly string[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => describeUnknownKey(path, key, fileName));
  const key = SETTING_KEYS.find((candidate) => candidate.path.every((part, index) => path[index] === part));
  const variable = key !== undefined && fromEnvironment.includes(key) ? key.variable : undefined;
  const name = key?.name ?? path.join('.');
  const section = path.slice(0, -1).filter((part) => !/^\d+$/.test(part));
  const standard = key === undefined ? '' : ` (default ${show(key.standard)})`;
  return [
    [
      `${variable === undefined ? fileName : 'environment'}: ${variable ?? name} is ${show(valueAt(values, key?.path ?? path))}, but must be ${issue.message}.`,
      `Fix: ${variable === undefined ? 'correct it' : `correct ${variable}, which sets ${name}`}, or leave it out${standard}.`,
      `Known keys nearby: ${namesIn(section).join(', ')}`,
    ].join('\n'),
  ];
}

function describeUnknownKey(path: readonly string[], key: string, fileName: string): string {
  const siblings = namesIn(path);
  const name = [...path, key].join('.');
  const everywhere = SETTING_KEYS.map((known) => known.name);
  const sameLeaf = everywhere.find((known) => known.split('.').at(-1)?.toLowerCase() === key.toLowerCase());
  const meant = closestWord(name, siblings) ?? sameLeaf ?? closestWord(name, everywhere);
  return [
    `${fileName}: ${name} is not a setting.`,
    `Fix: ${meant === undefined ? 'remove it' : `did you mean ${meant}?`}`,
    `Known keys nearby: ${siblings.join(', ')}`,
  ].join('\n');
}

/** Full names of the keys in a section: `dhcp.port`, `dhcp.pxePort`, … */
function namesIn(section: readonly string[]): readonly string[] {
  return keysOfSection(section).map((key) => [...section, key].join('.'));
}

function assign(values: Values, path: readonly string[], value: unknown): void {
  const [head, ...rest] = path;
  if (head === undefined) return;
  if (rest.length === 0) {
    values[head] = value;
    return;
  }
  const child = values[head];
  // What is no section at all stays, for the schema to refuse.
  if (child !== undefined && !isValues(child)) return;
  const section = child ?? {};
  values[head] = section;
  assign(section, rest, value);
}

function valueAt(values: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, part) => (isValues(value) ? value[part] : undefined), values);
}

function isValues(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
