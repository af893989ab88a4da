// What registry-crash-writer.ts pushes and registry-crash.test.ts expects: both make it from a name.
import { createHash } from 'node:crypto';
import { aContent, aManifest, type Content } from '../support/oci-layout.ts';

export const CRASH_REPOSITORIES = ['fleet/os', 'fleet/tools'] as const;

const BLOB_BYTES = 150_000;
const SHARED = [0, 1, 2].map((number) => crashBlob(`shared-${number}`));

export function crashBlob(name: string): Content {
  const line = createHash('sha256').update(name).digest();
  return aContent(Buffer.alloc(BLOB_BYTES, line));
}

/** One blob of its own, one that others have too, a config. */
export function crashImage(name: string): { readonly blobs: readonly Content[]; readonly manifest: Content } {
  const config = aContent(JSON.stringify({ name }));
  const layers = [crashBlob(name), SHARED[name.length % SHARED.length]!];
  return { blobs: [config, ...layers], manifest: aManifest(config, layers) };
}
