// A registry on memory stores or on files and SQLite, and the few pushes that many tests begin with.
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Clock } from '../../src/clock.ts';
import type { BlobStore } from '../../src/images/blob-store.ts';
import type { Digest } from '../../src/images/digest.ts';
import type { Refused, StoredManifest } from '../../src/images/registry/registry-outcome.ts';
import { RegistryService } from '../../src/images/registry/registry-service.ts';
import type { RegistryStore } from '../../src/images/registry/registry-store.ts';
import type { UploadStore } from '../../src/images/registry/upload-store.ts';
import { digestBytes } from '../../src/storage/digest-bytes.ts';
import { openFileBlobStore } from '../../src/storage/files/file-blob-store.ts';
import { openFileUploadStore } from '../../src/storage/files/file-upload-store.ts';
import { MemoryBlobStore } from '../../src/storage/memory/memory-blob-store.ts';
import { MemoryRegistryStore } from '../../src/storage/memory/memory-registry-store.ts';
import { MemoryUploadStore } from '../../src/storage/memory/memory-upload-store.ts';
import { openDatabase } from '../../src/storage/sql/open-database.ts';
import { SqlRegistryStore } from '../../src/storage/sql/sql-registry-store.ts';
import { aContent, aManifest, type Content } from './oci-layout.ts';

export interface RegistryWorld {
  readonly registry: RegistryService;
  readonly store: RegistryStore;
  readonly blobs: BlobStore;
  readonly uploads: UploadStore;
  /** What the registry is told to keep; add to it at will. */
  readonly pinned: Set<Digest>;
  readonly close: () => Promise<void>;
}

const REAL_CLOCK: Clock = { now: () => Date.now() };

export function aMemoryRegistry(clock: Clock = REAL_CLOCK, blobBytes = 1024 ** 2): RegistryWorld {
  const blobs = new MemoryBlobStore(() => clock.now());
  const uploads = new MemoryUploadStore({ blobs, clock });
  return assemble({ store: new MemoryRegistryStore(), blobs, uploads, clock, blobBytes }, () => Promise.resolve());
}

/** As the server opens them: <folder>/blobs and <folder>/muster.db. */
export async function aFileRegistry(folder: string): Promise<RegistryWorld> {
  const directory = join(folder, 'blobs');
  const blobs = await openFileBlobStore(directory);
  const uploads = await openFileUploadStore({ directory, clock: REAL_CLOCK });
  const database = await openDatabase(join(folder, 'muster.db'));
  const stores = { store: new SqlRegistryStore(database), blobs, uploads, clock: REAL_CLOCK, blobBytes: 1024 ** 3 };
  return assemble(stores, () => database.destroy());
}

function assemble(
  parts: { store: RegistryStore; blobs: BlobStore; uploads: UploadStore; clock: Clock; blobBytes: number },
  close: () => Promise<void>,
): RegistryWorld {
  const pinned = new Set<Digest>();
  const registry = new RegistryService({
    ...parts,
    digestBytes,
    pinned: () => Promise.resolve(pinned),
    limits: { blobBytes: parts.blobBytes },
  });
  return { registry, store: parts.store, blobs: parts.blobs, uploads: parts.uploads, pinned, close };
}

export function streamOf(bytes: Uint8Array): Readable {
  return Readable.from([bytes]);
}

/** Pushes these contents as blobs, and fails where one is not taken. */
export async function pushBlobs(
  registry: RegistryService,
  repository: string,
  ...contents: readonly Pick<Content, 'digest' | 'bytes'>[]
): Promise<void> {
  for (const { digest, bytes } of contents) {
    const outcome = await registry.putBlob({ repository, digest, content: streamOf(bytes) });
    if (outcome.kind !== 'stored') throw new Error(`${digest} was not taken: ${outcome.message}`);
  }
}

export function pushManifest(
  registry: RegistryService,
  repository: string,
  reference: string,
  { bytes, mediaType }: Pick<Content, 'bytes' | 'mediaType'>,
): Promise<StoredManifest | Refused> {
  return registry.putManifest({ repository, reference, mediaType, bytes });
}

/** An image of one layer, and all that must be pushed before its manifest. */
export function anImageOf(text: string): { readonly blobs: readonly Content[]; readonly manifest: Content } {
  const config = aContent(`{"image":${JSON.stringify(text)}}`, 'application/vnd.oci.image.config.v1+json');
  const layer = aContent(`layer of ${text}`, 'application/vnd.oci.image.layer.v1.tar');
  return { blobs: [config, layer], manifest: aManifest(config, [layer]) };
}
