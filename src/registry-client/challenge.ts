// The WWW-Authenticate header (RFC 9110 §11.6.1), as registries send it. Pure.

export interface Challenge {
  readonly scheme: 'basic' | 'bearer';
  /** Parameter names in lower case. */
  readonly parameters: Readonly<Record<string, string>>;
}

const SCHEME = /^([A-Za-z][A-Za-z0-9-]*)(?:\s*,\s*|\s+(?!=)|$)/;
const PARAMETER = /^([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*,?\s*/;
const LIMIT = 8192;

/** All Basic and Bearer challenges of the header, in its order; other schemes are left out. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  let rest = header.slice(0, LIMIT).trim();
  while (rest !== '') {
    const [parameterText, name, quoted, plain] = PARAMETER.exec(rest) ?? [];
    const last = challenges.at(-1);
    if (parameterText !== undefined && name !== undefined && last !== undefined) {
      last.parameters[name.toLowerCase()] = quoted?.replaceAll(/\\(.)/g, '$1') ?? plain ?? '';
      rest = rest.slice(parameterText.length);
      continue;
    }
    const [schemeText, scheme] = SCHEME.exec(rest) ?? [];
    if (schemeText === undefined || scheme === undefined) break;
    challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
    rest = rest.slice(schemeText.length);
  }
  return challenges.flatMap(({ scheme, parameters }) =>
    scheme === 'basic' || scheme === 'bearer' ? [{ scheme, parameters }] : [],
  );
}
