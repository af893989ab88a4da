// Forms (application/x-www-form-urlencoded): what a POSIX shell agent can send with curl alone. Every field is a list, as
// a name may be repeated; empty values count as absent. Text from the wire is cleaned here, once.
import { z } from 'zod';
import { AppError } from '../errors.ts';

const MAX_FIELDS = 500;

/** Parses a form body into lists of values by field name. */
export function parseForm(body: string): Readonly<Record<string, readonly string[]>> {
  const fields = new Map<string, string[]>();
  let count = 0;
  for (const [name, value] of new URLSearchParams(body)) {
    count += 1;
    if (count > MAX_FIELDS) throw new AppError('invalid-request', `A form may have at most ${MAX_FIELDS} fields.`);
    if (value !== '') fields.set(name, [...(fields.get(name) ?? []), value]);
  }
  return Object.fromEntries(fields);
}

/** A field that stands exactly once. */
export function one<T extends z.ZodType>(value: T) {
  return z.preprocess(
    (list: unknown) => (Array.isArray(list) && list.length === 1 ? (list[0] as unknown) : list),
    value,
  );
}

/** A field that may stand once. */
export function atMostOne<T extends z.ZodType>(value: T) {
  return one(value).optional();
}

/** A field that says something of the machine: what cannot be understood is as good as absent, the rest still counts. */
export function fact<T extends z.ZodType>(value: T) {
  return one(value).optional().catch(undefined);
}

/** Text that a machine sent: controls and direction marks become spaces, trimmed, cut at `maxLength`. */
export function wireText(maxLength: number) {
  return z.string().transform((text) =>
    text
      .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
      .trim()
      .slice(0, maxLength),
  );
}
