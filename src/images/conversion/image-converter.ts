// Makes of one OS image what a machine boots: kernel, initrd and squashfs as blobs of its repository, and the boot manifest that
// names them. What is not worth keeping is gone when it ends.
import { Readable } from 'node:stream';
import type { Sha256 } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { BlobStore } from '../blob-store.ts';
import type { BootImage, ImagePart } from '../boot-image.ts';
import {
  encodeBootConfig,
  encodeBootManifest,
  isVersion,
  parseBootConfig,
  parseBootManifest,
  type BootConfig,
  type EncodedDocument,
} from './boot-manifest.ts';
import type { Conversion, ConversionProgress, Refusal } from './conversion.ts';
import type { Digest } from '../digest.ts';
import { layerCompression } from '../flatten/layer-source.ts';
import { OCI_MANIFEST_TYPE, type OciDescriptor } from '../registry/oci-manifest.ts';
import { identifyDocument, parseImageConfig, pickPlatform, type Platform } from '../os-image.ts';
import { PACKED, type RootPacker, type StoredLayer } from './pack-root.ts';
import { readBlob } from '../registry/read-blob.ts';
import type { RegistryService } from '../registry/registry-service.ts';
import type { ManifestRecord, RegistryStore } from '../registry/registry-store.ts';
import type { WorkFolder, Workspace } from './workspace.ts';

const VERSION_ANNOTATION = 'org.opencontainers.image.version';
/** A machine below this version is not given the image before another one that it can go through. */
const REQUIRES_ANNOTATION = 'dev.muster.requires';

export type ConversionOutcome =
  | { readonly kind: 'ready'; readonly image: BootImage; readonly manifest: Digest }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** What a pushed manifest means for a conversion: of an index, the image for our platform. */
export type ConversionTarget =
  | { readonly kind: 'image'; readonly record: ManifestRecord }
  | { readonly kind: 'no-platform' }
  | { readonly kind: 'other' };

export interface ConvertOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ConversionProgress) => void;
}

export interface ImageConverterParts {
  readonly store: Pick<RegistryStore, 'findManifest'>;
  readonly blobs: Pick<BlobStore, 'read' | 'size'>;
  readonly registry: Pick<RegistryService, 'adoptBlob' | 'putBlob' | 'putManifest' | 'startUpload' | 'cancelUpload'>;
  readonly workspace: Workspace;
  readonly packer: RootPacker;
  readonly sha256: Sha256;
  readonly platform: Platform;
}

export class ImageConverter {
  readonly #parts: ImageConverterParts;

  constructor(parts: ImageConverterParts) {
    this.#parts = parts;
  }

  async identify(record: ManifestRecord): Promise<ConversionTarget> {
    const document = identifyDocument(await readBlob(this.#parts.blobs, record.digest), record.mediaType);
    switch (document.kind) {
      case 'os-image':
      case 'boot-manifest':
        return { kind: 'image', record };
      case 'other':
        return { kind: 'other' };
      case 'index': {
        const entry = pickPlatform(document.entries, this.#parts.platform);
        const child = entry && (await this.#parts.store.findManifest(record.repository, entry.digest));
        return child === undefined ? { kind: 'no-platform' } : this.identify(child);
      }
    }
  }

  /** Whether what was made of this image is still here. */
  async isStored(ready: {
    readonly repository: string;
    readonly image: BootImage;
    readonly manifest: Digest;
  }): Promise<boolean> {
    if ((await this.#parts.store.findManifest(ready.repository, ready.manifest)) === undefined) return false;
    const { kernel, initrd, squashfs } = ready.image;
    const sizes = await Promise.all([kernel, initrd, squashfs].map(({ digest }) => this.#parts.blobs.size(digest)));
    return sizes.every((size) => size !== undefined);
  }

  /** The same image always gives the same boot manifest. Fails as disk and registry fail, and with the signal's reason. */
  async convert(
    conversion: Pick<Conversion, 'repository' | 'digest'>,
    options: ConvertOptions,
  ): Promise<ConversionOutcome> {
    const { repository, digest } = conversion;
    const record = await this.#parts.store.findManifest(repository, digest);
    if (record === undefined) return refused('layer-missing', 'The image was removed before its conversion.');
    const document = identifyDocument(await readBlob(this.#parts.blobs, digest), record.mediaType);
    if (document.kind === 'boot-manifest') return this.#readBootManifest(record);
    if (document.kind !== 'os-image') return refused('layer-refused', 'The manifest is not that of an OS image.');
    const layers: StoredLayer[] = [];
    for (const descriptor of document.layers) {
      const layer = await this.#layer(descriptor);
      if (layer === undefined)
        return refused('layer-missing', `The layer ${descriptor.digest} is not in this registry.`);
      layers.push(layer);
    }
    const folder = await this.#parts.workspace.open();
    try {
      const packed = await this.#parts.packer.pack({ ...options, layers, folder });
      if (packed.kind === 'refused') return packed;
      const described = await this.#describe(document.config.digest, document.annotations);
      const config = { ...packed.config, commandLine: [], ...described };
      return await this.#store(record, folder, config, options);
    } finally {
      await folder.discard();
    }
  }

  /**
   * The same image in another repository: its parts are linked, not made again. Undefined where one of them is not there any
   * more.
   */
  async reuse(
    { repository, digest }: Pick<Conversion, 'repository' | 'digest'>,
    twin: { readonly repository: string; readonly image: BootImage; readonly manifest: Digest },
  ): Promise<ConversionOutcome | undefined> {
    const { registry, blobs, store } = this.#parts;
    if (twin.manifest === digest || (await store.findManifest(repository, digest)) === undefined) return undefined;
    if ((await store.findManifest(twin.repository, twin.manifest)) === undefined) return undefined;
    const bytes = await readBlob(blobs, twin.manifest);
    const manifest = parseBootManifest(bytes);
    if (manifest === undefined) return undefined;
    for (const blob of [manifest.config, manifest.kernel, manifest.initrd, manifest.squashfs]) {
      const mount = await registry.startUpload({ repository, mount: blob.digest, from: twin.repository });
      if (mount.kind === 'started') await registry.cancelUpload(repository, mount.id);
      if (mount.kind !== 'mounted') return undefined;
    }
    await this.#putManifest(repository, { digest: twin.manifest, bytes });
    return { kind: 'ready', image: { ...twin.image, name: repository }, manifest: twin.manifest };
  }

  async #layer({ digest, mediaType }: OciDescriptor): Promise<StoredLayer | undefined> {
    const compression = layerCompression(mediaType);
    const sizeBytes = await this.#parts.blobs.size(digest);
    return compression === undefined || sizeBytes === undefined ? undefined : { digest, sizeBytes, compression };
  }

  async #store(
    record: ManifestRecord,
    folder: WorkFolder,
    config: BootConfig,
    { onProgress, signal }: ConvertOptions,
  ): Promise<ConversionOutcome> {
    const parts: Partial<Record<keyof typeof PACKED, ImagePart>> = {};
    for (const name of [PACKED.kernel, PACKED.initrd, PACKED.squashfs]) {
      const file = await folder.measure(name, (doneBytes) => {
        onProgress({ phase: 'storing', doneBytes, totalBytes: 0 });
      });
      signal.throwIfAborted();
      await this.#parts.registry.adoptBlob(record.repository, file.digest, () => folder.keep(name, file.digest));
      parts[name] = file;
    }
    const { kernel, initrd, squashfs } = parts;
    if (kernel === undefined || initrd === undefined || squashfs === undefined)
      throw new AppError('internal', 'A part of a boot image was not stored.');
    const encoded = encodeBootConfig(config, this.#parts.sha256);
    await this.#putBlob(record.repository, encoded);
    const { mediaType, digest, sizeBytes } = record;
    const subject = { mediaType, digest, sizeBytes };
    const manifest = encodeBootManifest({ config: encoded, kernel, initrd, squashfs, subject }, this.#parts.sha256);
    await this.#putManifest(record.repository, manifest);
    return { kind: 'ready', image: imageOf(record, config, { kernel, initrd, squashfs }), manifest: manifest.digest };
  }

  async #putBlob(repository: string, { digest, bytes }: EncodedDocument): Promise<void> {
    const put = await this.#parts.registry.putBlob({ repository, digest, content: Readable.from([bytes]) });
    if (put.kind === 'refused') throw new AppError('internal', `A boot configuration was refused: ${put.message}`);
  }

  async #putManifest(repository: string, { digest, bytes }: Pick<EncodedDocument, 'digest' | 'bytes'>): Promise<void> {
    const push = { repository, reference: digest, bytes, mediaType: OCI_MANIFEST_TYPE };
    const put = await this.#parts.registry.putManifest(push);
    if (put.kind === 'refused') throw new AppError('internal', `A boot manifest was refused: ${put.message}`);
  }

  /** Kernel, initrd and squashfs that somebody pushed as they are. */
  async #readBootManifest(record: ManifestRecord): Promise<ConversionOutcome> {
    const { blobs } = this.#parts;
    const manifest = parseBootManifest(await readBlob(blobs, record.digest));
    const config = manifest && parseBootConfig(await readBlob(blobs, manifest.config.digest));
    if (manifest === undefined || config === undefined)
      return refused(
        'layer-refused',
        'The boot manifest or its configuration is not of the documented form (docs/images.md).',
      );
    return { kind: 'ready', image: imageOf(record, config, manifest), manifest: record.digest };
  }

  /** Annotations are of the push, labels of the build: the later word wins (OCI image-spec, annotations.md). */
  async #describe(
    config: Digest,
    annotations: Readonly<Record<string, string>>,
  ): Promise<Pick<BootConfig, 'architecture' | 'version' | 'requiresVersion'>> {
    const { architecture, labels } = parseImageConfig(await readBlob(this.#parts.blobs, config));
    const said = { ...labels, ...annotations };
    const [version, requiresVersion] = [said[VERSION_ANNOTATION], said[REQUIRES_ANNOTATION]];
    return {
      architecture: architecture ?? this.#parts.platform.architecture,
      ...(isVersion(version) && { version }),
      ...(isVersion(requiresVersion) && { requiresVersion }),
    };
  }
}

function imageOf(
  { repository, digest }: ManifestRecord,
  { family, commandLine, os, kairos, architecture, version, requiresVersion }: BootConfig,
  { kernel, initrd, squashfs }: Pick<BootImage, 'kernel' | 'initrd' | 'squashfs'>,
): BootImage {
  const described = {
    ...{ family, commandLine, os, architecture },
    ...(kairos !== undefined && { kairos }),
    ...(version !== undefined && { version }),
    ...(requiresVersion !== undefined && { requiresVersion }),
  };
  return {
    name: repository,
    digest,
    ...described,
    kernel: part(kernel),
    initrd: part(initrd),
    squashfs: part(squashfs),
  };
}

function part({ digest, sizeBytes }: ImagePart): ImagePart {
  return { digest, sizeBytes };
}

function refused(code: Refusal['code'], detail: string): ConversionOutcome {
  return { kind: 'refused', refusal: { code, detail } };
}
