// A registry with the conversion of its images over memory stores, with real files and the real mksquashfs in a scratch folder.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { EventRecorder } from '../../src/events/event-recorder.ts';
import type { BlobStore } from '../../src/images/blob-store.ts';
import type { ConversionStore } from '../../src/images/conversion/conversion-store.ts';
import { ConversionService } from '../../src/images/conversion/conversion-service.ts';
import { ImageCatalogue } from '../../src/images/image-catalogue.ts';
import { ImageConverter, type ImageConverterParts } from '../../src/images/conversion/image-converter.ts';
import { RegistryService } from '../../src/images/registry/registry-service.ts';
import type { TrustPolicy } from '../../src/images/trust/trust-policy.ts';
import { ChildRootPacker } from '../../src/platform/child-root-packer.ts';
import { digestBytes } from '../../src/storage/digest-bytes.ts';
import { openFileBlobStore } from '../../src/storage/files/file-blob-store.ts';
import { openFileWorkspace } from '../../src/storage/files/file-workspace.ts';
import { createMemoryStores } from '../../src/storage/memory/create-memory-stores.ts';
import { MemoryRegistryStore } from '../../src/storage/memory/memory-registry-store.ts';
import { MemoryUploadStore } from '../../src/storage/memory/memory-upload-store.ts';
import { NOON } from './domain-builders.ts';
import { aDracutInitrd } from './initrd-builders.ts';
import { aFile, aSymlink, rawTar, type RawEntry } from './layer-builders.ts';
import { aContainerImage, aContent, OCI_LAYER, type ContainerImage, type Content } from './oci-layout.ts';
import { sha256 } from './service-world.ts';

export interface WorldOptions {
  readonly converter?: Partial<ImageConverterParts>;
  readonly conversions?: ConversionStore;
  readonly trust?: TrustPolicy;
}

export async function openConversionWorld(options: WorldOptions = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'muster-conversion-'));
  const clock = { time: NOON, now: () => clock.time };
  const scheduler = { after: () => () => undefined };
  const stores = createMemoryStores();
  const store = new MemoryRegistryStore();
  const blobDirectory = join(folder, 'blobs');
  const blobs: BlobStore = await openFileBlobStore(blobDirectory);
  const registry = new RegistryService({
    ...{ store, blobs, clock, digestBytes },
    uploads: new MemoryUploadStore({ blobs, clock }),
    pinned: () => Promise.resolve(new Set()),
    limits: { blobBytes: 1024 ** 3 },
  });
  const platform = { os: 'linux', architecture: 'amd64' };
  const failures: unknown[] = [];
  const events = new EventRecorder({
    log: stores.events,
    clock,
    scheduler,
    onFailure: (error) => failures.push(error),
  });
  const workspace = await openFileWorkspace(join(folder, 'work'), blobDirectory);
  const converter = new ImageConverter({
    ...{ store, blobs, registry, workspace, sha256, platform },
    packer: new ChildRootPacker({ blobDirectory, processors: 2 }),
    ...options.converter,
  });
  const conversionStore = options.conversions ?? stores.conversions;
  const openConversions = () =>
    new ConversionService({
      ...{ converter, events, clock },
      store: conversionStore,
      onFailure: (error) => failures.push(error),
    });
  const conversions = openConversions();
  registry.onManifestStored((stored) => conversions.manifestStored(stored));
  const catalogue = new ImageCatalogue({
    ...{ store, blobs, conversions, platform },
    channels: stores.channels,
    trust: options.trust ?? { decide: () => Promise.resolve({ kind: 'trusted' }) },
  });
  const pushBlob = (repository: string, { digest, bytes }: Content) =>
    registry.putBlob({ repository, digest, content: Readable.from([bytes]) });
  const pushManifest = (repository: string, reference: string, manifest: Content) =>
    registry.putManifest({ repository, reference, bytes: manifest.bytes, mediaType: manifest.mediaType });
  return {
    ...{ folder, clock, stores, store, blobs, registry, events, conversions, catalogue, failures, openConversions },
    ...{ conversionStore, pushBlob, pushManifest, blobDirectory },
    push: async (repository: string, reference: string, image: ContainerImage) => {
      for (const content of [image.config, ...image.layers]) await pushBlob(repository, content);
      return pushManifest(repository, reference, image.manifest);
    },
    recorded: async () => {
      await events.flush();
      return stores.events.query({ limit: 1000 });
    },
    /** Every file below the data folder: what a refusal must leave as it was. */
    files: async () =>
      (await readdir(folder, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
        .sort(),
    [Symbol.asyncDispose]: async () => {
      await conversions.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export type ConversionWorld = Awaited<ReturnType<typeof openConversionWorld>>;

export function layerOf(...entries: readonly RawEntry[]): Content & { diffId: Content['digest'] } {
  const tar = rawTar(...entries);
  return { ...aContent(gzipSync(tar, { level: 1 }), OCI_LAYER), diffId: aContent(tar).digest };
}

/** A Debian-like root that dracut can netboot; further entries go into a second layer. */
export function aBootableImage(...more: readonly RawEntry[]): ContainerImage {
  const base = layerOf(
    aFile('usr/lib/os-release', 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n', {
      mtime: 1000,
    }),
    aSymlink('etc/os-release', '../usr/lib/os-release'),
    aFile('boot/vmlinuz-6.1.0-42-amd64', Buffer.alloc(100_000, 'kernel'), { mtime: 2000 }),
    aFile('boot/initrd.img-6.1.0-42-amd64', aDracutInitrd(), { mtime: 3000 }),
    aFile('etc/hostname', 'lower\n'),
  );
  return aContainerImage(more.length === 0 ? [base] : [base, layerOf(...more)]);
}
