// `{{ muster.hostname }}` and its like in profiles and cloud-configs are replaced by what Muster knows of the machine.
// Only `muster.` names are touched, so that cloud-init's own Jinja and shell variables pass. Pure.

const PLACEHOLDER = /\{\{\s*muster\.([A-Za-z0-9_.-]+)\s*\}\}/g;

/** Names that can be used; `labels.<name>` stands for any label of the machine. */
export const PLACEHOLDER_NAMES = ['id', 'hostname', 'mac', 'mac_bare', 'uuid', 'serial', 'profile'] as const;

export type PlaceholderValues = Readonly<Partial<Record<(typeof PLACEHOLDER_NAMES)[number], string>>> & {
  readonly labels: Readonly<Record<string, string>>;
};

/** Names in the value (any depth) that no machine could ever fill. */
export function unknownPlaceholders(value: unknown): readonly string[] {
  const unknown = new Set<string>();
  visitStrings(value, (text) => {
    for (const [, name = ''] of text.matchAll(PLACEHOLDER))
      if (!name.startsWith('labels.') && !(PLACEHOLDER_NAMES as readonly string[]).includes(name))
        unknown.add(`muster.${name}`);
    return text;
  });
  return [...unknown];
}

/** A copy with every placeholder replaced; one that has no value for this machine becomes the empty text. */
export function fillPlaceholders<T>(value: T, values: PlaceholderValues): T {
  const lookUp = (name: string): string => {
    if (name.startsWith('labels.')) return values.labels[name.slice('labels.'.length)] ?? '';
    const known = PLACEHOLDER_NAMES.find((candidate) => candidate === name);
    return known === undefined ? '' : (values[known] ?? '');
  };
  // The shape is kept: strings stay strings, so the type does as well.
  return visitStrings(value, (text) => text.replaceAll(PLACEHOLDER, (_, name: string) => lookUp(name))) as T;
}

function visitStrings(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => visitStrings(item, change));
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array))
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, visitStrings(item, change)]));
  return value;
}
