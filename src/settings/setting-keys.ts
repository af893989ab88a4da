// The list of all settings, made from the defaults themselves, and how each is named and written in the environment. Pure.
import { settingsSchema } from './schema.ts';

export type SettingValue = string | number | boolean | readonly string[];

export interface SettingKey {
  /** `dhcp.pxePort` */
  readonly name: string;
  readonly path: readonly string[];
  /** `MUSTER_DHCP_PXE_PORT` */
  readonly variable: string;
  readonly standard: SettingValue;
}

/** Every key that holds a value, in the order of the schema. */
export const SETTING_KEYS: readonly SettingKey[] = leavesOf(settingsSchema.parse({}), []);

/** The keys of a section (`[]` for the top level), sections among them. */
export function keysOfSection(path: readonly string[]): readonly string[] {
  const below = SETTING_KEYS.filter((key) => path.every((part, index) => key.path[index] === part));
  return [...new Set(below.flatMap((key) => key.path[path.length] ?? []))];
}

/** The value that a variable's text stands for. A text of the wrong kind stays a text, for the schema to refuse. */
export function valueFromText(key: SettingKey, text: string): SettingValue {
  if (typeof key.standard === 'number') return /^-?\d+$/.test(text.trim()) ? Number(text) : text;
  if (typeof key.standard === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  if (typeof key.standard === 'string') return text;
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

function leavesOf(values: object, path: readonly string[]): SettingKey[] {
  return Object.entries(values).flatMap(([name, value]: [string, unknown]) => {
    const here = [...path, name];
    if (!isSettingValue(value)) return typeof value === 'object' && value !== null ? leavesOf(value, here) : [];
    return [{ name: here.join('.'), path: here, variable: variableFor(here), standard: value }];
  });
}

function isSettingValue(value: unknown): value is SettingValue {
  return ['string', 'number', 'boolean'].includes(typeof value) || Array.isArray(value);
}

function variableFor(path: readonly string[]): string {
  return `MUSTER_${path.map((part) => part.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()).join('_')}`;
}
