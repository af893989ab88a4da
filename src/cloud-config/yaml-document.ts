// YAML that people write for Muster: read as cloud-init does (`yes` is true, `0644` is octal),
// bounded in size, depth and aliases, and every complaint names its line and column. Pure.
import { EVENT_ID, YAMLException, constructFromEvents, getScalarValue, parseEvents, type Event } from 'js-yaml';
import type { z } from 'zod';
import { CLOUD_CONFIG_YAML } from './cloud-config-yaml.ts';

const TEXT_LIMIT = 1024 * 1024;
/** Each alias repeats its anchor's whole tree: a few are a convenience, thousands are a bomb. */
const ALIAS_LIMIT = 50;
const DEPTH_LIMIT = 50;

/** Where a complaint points to; both count from 1. */
export interface Complaint {
  readonly line: number;
  readonly column: number;
  readonly reason: string;
}

export type Parsed<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'invalid'; readonly complaints: readonly Complaint[] };

/** Parses one YAML document and checks it against the schema. */
export function parseYamlDocument<T>(text: string, schema: z.ZodType<T>): Parsed<T> {
  if (text.length > TEXT_LIMIT) return invalid(1, 1, `larger than ${TEXT_LIMIT} characters`);
  let events: Event[];
  let documents: unknown[];
  try {
    events = parseEvents(text, { maxDepth: DEPTH_LIMIT });
    documents = constructFromEvents(events, { source: text, schema: CLOUD_CONFIG_YAML, maxAliases: ALIAS_LIMIT });
  } catch (error) {
    if (error instanceof YAMLException && error.mark !== undefined)
      return invalid(error.mark.line + 1, error.mark.column + 1, error.reason);
    return invalid(1, 1, error instanceof Error ? error.message : String(error));
  }
  if (documents.length > 1) return invalid(1, 1, 'more than one document (`---`) in the file');
  const checked = schema.safeParse(documents[0] ?? {});
  if (checked.success) return { kind: 'value', value: checked.data };
  return {
    kind: 'invalid',
    complaints: checked.error.issues.map((issue) => ({
      ...positionOf(text, events, issue.path),
      reason: `${issue.path.length === 0 ? 'the document' : formatPath(issue.path)}: ${issue.message}`,
    })),
  };
}

/** `file:line:column: reason`, a line each: the form that editors jump to. */
export function formatComplaints(file: string, complaints: readonly Complaint[]): string {
  return complaints.map(({ line, column, reason }) => `${file}:${line}:${column}: ${reason}`).join('\n');
}

function invalid(line: number, column: number, reason: string): Parsed<never> {
  return { kind: 'invalid', complaints: [{ line, column, reason }] };
}

function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`))
    .join('');
}

/** Position of the node at that path, or of the nearest node above it that is there. */
function positionOf(
  text: string,
  events: readonly Event[],
  path: readonly PropertyKey[],
): { line: number; column: number } {
  const offset = offsetOf(text, events, path);
  const before = text.slice(0, Math.max(0, offset));
  const lineStart = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: before.length - lineStart + 1 };
}

/** Walks the event stream, keeping the path of each open collection, and remembers the deepest node on the wanted path. */
function offsetOf(text: string, events: readonly Event[], wanted: readonly PropertyKey[]): number {
  const open: { readonly isMapping: boolean; readonly depth: number; key: PropertyKey | undefined; index: number }[] =
    [];
  let best = 0;
  let matched = 0;
  const enter = (start: number): number => {
    // Depth of this node on the wanted path, or -1 where it is elsewhere.
    const parent = open.at(-1);
    if (parent === undefined) return 0;
    const key = parent.isMapping ? parent.key : parent.index;
    const onPath = parent.depth >= 0 && wanted[parent.depth] === key;
    if (onPath && parent.depth + 1 > matched) {
      matched = parent.depth + 1;
      best = start;
    }
    return onPath ? parent.depth + 1 : -1;
  };
  const leave = (): void => {
    const parent = open.at(-1);
    if (parent === undefined) return;
    parent.key = undefined;
    parent.index += 1;
  };
  for (const event of events) {
    if (event.type === EVENT_ID.SCALAR || event.type === EVENT_ID.ALIAS) {
      const parent = open.at(-1);
      const start = event.type === EVENT_ID.SCALAR ? event.valueStart : event.anchorStart;
      if (parent?.isMapping === true && parent.key === undefined) {
        parent.key = event.type === EVENT_ID.SCALAR ? getScalarValue(text, event) : '*';
        // The key's own place is the best answer for "unknown key" complaints.
        if (parent.depth >= 0 && parent.depth === wanted.length - 1 && wanted[parent.depth] === parent.key)
          best = start;
      } else {
        enter(start);
        leave();
      }
    } else if (event.type === EVENT_ID.MAPPING || event.type === EVENT_ID.SEQUENCE) {
      const depth = enter(event.start);
      open.push({ isMapping: event.type === EVENT_ID.MAPPING, depth, key: undefined, index: 0 });
    } else if (event.type === EVENT_ID.POP) {
      open.pop();
      leave();
    }
  }
  return best;
}
