import { describe, expect, it } from 'vitest';
import { parseRegistryPath } from '../../../src/http/registry-path.ts';

const DIGEST = `sha512:${'b'.repeat(128)}`;

describe('parseRegistryPath', () => {
  it.each([
    ['', 'base', '', ''],
    ['os/tags/list', 'tags', 'os', ''],
    ['fleet/os/blobs/uploads/', 'uploads', 'fleet/os', ''],
    ['fleet/os/blobs/uploads', 'uploads', 'fleet/os', ''],
    ['a/b/c/blobs/uploads/0b3c-4', 'upload', 'a/b/c', '0b3c-4'],
    [`fleet/os/blobs/${DIGEST}`, 'blob', 'fleet/os', DIGEST],
    [`os/referrers/${DIGEST}`, 'referrers', 'os', DIGEST],
    ['os/manifests/v1.0_x', 'manifest', 'os', 'v1.0_x'],
    [`os/manifests/${DIGEST}`, 'manifest', 'os', DIGEST],
  ])('reads "%s" (distribution-spec, Endpoints)', (path, kind, repository, reference) => {
    expect(parseRegistryPath(path)).toEqual({ kind, repository, reference });
  });

  it.each([
    ['a/tags/list/tags/list', 'tags', 'a/tags/list', ''],
    ['a/blobs/blobs/uploads/', 'uploads', 'a/blobs', ''],
    ['blobs/uploads/blobs/uploads/x', 'upload', 'blobs/uploads', 'x'],
    ['a/manifests/blobs/uploads/', 'uploads', 'a/manifests', ''],
    ['manifests/manifests/manifests', 'manifest', 'manifests', 'manifests'],
    ['a/tags/manifests/list', 'manifest', 'a/tags', 'list'],
    ['a/blobs/uploads/manifests/x', 'manifest', 'a/blobs/uploads', 'x'],
  ])('reads from the end, as names may hold the words of the API: %s', (path, kind, repository, reference) => {
    expect(parseRegistryPath(path)).toEqual({ kind, repository, reference });
  });

  it.each(['os', '_catalog', 'manifests/x', 'tags/list', 'blobs/uploads/', 'os/tags/other', 'os/blobs/uploads/a/b'])(
    'knows no endpoint %s',
    (path) => {
      expect(parseRegistryPath(path)).toMatchObject({ kind: 'unknown' });
    },
  );
});
