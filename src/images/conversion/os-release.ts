// /etc/os-release and /etc/kairos-release: shell-like assignments (os-release(5)). Pure; never runs anything.

/** So much of such a file is read; what comes after cannot matter. */
const RELEASE_LIMIT_BYTES = 64 * 1024;

export interface OsIdentity {
  readonly id: string;
  readonly versionId?: string;
  readonly prettyName?: string;
  /** IMAGE_VERSION: of the image rather than of the distribution. */
  readonly imageVersion?: string;
}

export interface KairosIdentity {
  readonly version: string;
  readonly flavor?: string;
}

/** os-release(5) says that an absent ID means `linux`. */
export function identifyOs(osRelease: string): OsIdentity {
  const values = parseAssignments(osRelease);
  return {
    id: values.get('ID') ?? 'linux',
    ...optional('versionId', values.get('VERSION_ID')),
    ...optional('prettyName', values.get('PRETTY_NAME')),
    ...optional('imageVersion', values.get('IMAGE_VERSION')),
  };
}

/** Kairos names itself in its own file since v3.4, in os-release before. */
export function identifyKairos(kairosRelease: string): KairosIdentity | undefined {
  const values = parseAssignments(kairosRelease);
  const version = values.get('KAIROS_VERSION');
  return version === undefined ? undefined : { version, ...optional('flavor', values.get('KAIROS_FLAVOR')) };
}

function parseAssignments(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const line of text.slice(0, RELEASE_LIMIT_BYTES).split('\n')) {
    const [, name, value] = /^\s*([A-Z][A-Z0-9_]*)=(.*?)\s*$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) values.set(name, plain(unquote(value)));
  }
  return values;
}

function unquote(value: string): string {
  const [, quote, inner] = /^(["'])(.*)\1$/.exec(value) ?? [];
  if (inner === undefined) return value;
  return quote === '"' ? inner.replaceAll(/\\(["$`\\])/g, '$1') : inner;
}

/** These texts reach terminals and pages: one short line without control characters. */
function plain(text: string): string {
  return text.replaceAll(/\p{C}/gu, '').slice(0, 120);
}

function optional<K extends string>(key: K, value: string | undefined): Partial<Record<K, string>> {
  const result: Partial<Record<K, string>> = {};
  if (value !== undefined && value !== '') result[key] = value;
  return result;
}
