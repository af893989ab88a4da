// Which machines a rollout is for: words that all have to hold. Pure.
import { AppError } from '../errors.ts';

/** `group=edge,site=berlin`: each label must have one of the values. No label: every machine. `*` stands for any text. */
export interface Selector {
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** Machines named one by one; none: all that the labels fit. */
  readonly machines: readonly string[];
}

/** The key that names machines, by id or name, instead of a label. */
const MACHINE_KEY = 'machine';
const EXAMPLE = "write it like 'group=edge,site=berlin|paris', 'machine=node-1|node-2', or '*' for every machine";

/** Reads `group=edge,site=berlin|paris,rack=r*`; `*` alone is every machine. An empty text is refused: it is an unset variable. */
export function parseSelector(text: string): Selector {
  const labels: Record<string, readonly string[]> = {};
  let machines: readonly string[] = [];
  if (text.trim() === '*') return { labels, machines };
  for (const word of text.split(',')) {
    const [, key, list] = /^\s*([A-Za-z0-9][\w./-]*)\s*=(.*)$/.exec(word) ?? [];
    if (key === undefined || list === undefined)
      throw new AppError('invalid-request', `selector '${text}': '${word.trim()}' is no condition; ${EXAMPLE}.`);
    const values = list.split('|').map((value) => value.trim());
    if (values.includes(''))
      throw new AppError('invalid-request', `selector '${text}': '${key}' has an empty value; ${EXAMPLE}.`);
    if (Object.hasOwn(labels, key) || (key === MACHINE_KEY && machines.length > 0))
      throw new AppError('invalid-request', `selector '${text}': '${key}' is named twice; join its values with |.`);
    if (key === MACHINE_KEY) machines = values;
    else labels[key] = values;
  }
  return { labels, machines };
}

/** parseSelector reads it back. */
export function formatSelector({ labels, machines }: Selector): string {
  const words = Object.entries(labels).map(([key, values]) => `${key}=${values.join('|')}`);
  if (machines.length > 0) words.push(`${MACHINE_KEY}=${machines.join('|')}`);
  return words.length === 0 ? '*' : words.join(',');
}

/** Made once for many machines, since a fleet is asked with each decision. */
export function selectorMatcher({ labels, machines }: Selector): (machine: SelectedBy) => boolean {
  const conditions = Object.entries(labels).map(([key, values]) => ({ key, fits: anyOf(values) }));
  const isNamed = anyOf(machines);
  return (machine) =>
    conditions.every(({ key, fits }) => {
      const value = Object.hasOwn(machine.labels, key) ? machine.labels[key] : undefined;
      return value !== undefined && fits(value);
    }) &&
    (machines.length === 0 || isNamed(machine.id) || isNamed(machine.name));
}

interface SelectedBy {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

function anyOf(patterns: readonly string[]): (value: string) => boolean {
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')));
  const globs = patterns.filter((pattern) => pattern.includes('*'));
  return (value) => exact.has(value) || globs.some((glob) => fitsGlob(glob, value));
}

/** Not by a regular expression: `*a*a*a*b` would let one try for minutes. */
function fitsGlob(glob: string, value: string): boolean {
  const [head = '', ...rest] = glob.split('*');
  const tail = rest.pop() ?? '';
  if (!value.startsWith(head)) return false;
  let at = head.length;
  for (const part of rest) {
    const found = value.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return value.length - tail.length >= at && value.endsWith(tail);
}
