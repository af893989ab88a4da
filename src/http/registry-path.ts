// What a path under /v2/ is about (distribution-spec "Endpoints"). Pure. Repository names hold slashes, so the path is read from
// its end: `a/blobs/blobs/uploads/` is the uploads of the repository `a/blobs`. Whether a name or a digest is one, the registry says.

export type RegistryKind = 'base' | 'manifest' | 'blob' | 'uploads' | 'upload' | 'tags' | 'referrers' | 'unknown';

export interface RegistryTarget {
  readonly kind: RegistryKind;
  readonly repository: string;
  /** Tag, digest or upload id; empty where there is none. */
  readonly reference: string;
}

/** `path` is what stands behind `/v2/`, percent-decoded. */
export function parseRegistryPath(path: string): RegistryTarget {
  const segments = path.replace(/^\/+/, '').split('/');
  const [last = '', noun = '', nounBefore = ''] = segments.slice(-3).reverse();
  if (segments.length === 1 && last === '') return { kind: 'base', repository: '', reference: '' };
  if (noun === 'tags' && last === 'list') return targetOf('tags', segments, 2, '');
  if (noun === 'blobs' && last === 'uploads') return targetOf('uploads', segments, 2, '');
  if (nounBefore === 'blobs' && noun === 'uploads') {
    return last === '' ? targetOf('uploads', segments, 3, '') : targetOf('upload', segments, 3, last);
  }
  const kind = NOUNS.get(noun);
  return kind === undefined ? UNKNOWN : targetOf(kind, segments, 2, last);
}

const NOUNS: ReadonlyMap<string, RegistryKind> = new Map([
  ['blobs', 'blob'],
  ['manifests', 'manifest'],
  ['referrers', 'referrers'],
]);
const UNKNOWN: RegistryTarget = { kind: 'unknown', repository: '', reference: '' };

/** The last `count` segments are the API's, those before are the name. */
function targetOf(kind: RegistryKind, segments: readonly string[], count: number, reference: string): RegistryTarget {
  const repository = segments.slice(0, -count).join('/');
  return repository === '' ? UNKNOWN : { kind, repository, reference };
}
