// The part of the composition root that belongs to images: the registry, what is made of its images, and who may boot them.
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Clock, Scheduler } from './clock.ts';
import { loadTrustedKeys } from './crypto/image-keys.ts';
import type { EventRecorder } from './events/event-recorder.ts';
import type { BlobStore } from './images/blob-store.ts';
import { ChannelService } from './images/channels/channel-service.ts';
import { ConversionService } from './images/conversion/conversion-service.ts';
import type { Digest } from './images/digest.ts';
import { ImageCatalogue } from './images/image-catalogue.ts';
import { ImageConverter } from './images/conversion/image-converter.ts';
import { parseImageReference } from './images/image-reference.ts';
import { PublicArtifacts } from './images/public-artifacts.ts';
import { RegistryService } from './images/registry/registry-service.ts';
import { StoredSignatures } from './images/trust/signature-stored-source.ts';
import { SignatureTrust } from './images/trust/signature-trust.ts';
import { TrustRecorder } from './images/trust/trust-recorder.ts';
import { cachedRegistry, UpstreamCache } from './images/upstream/upstream-cache.ts';
import { UpstreamMirror } from './images/upstream/upstream-mirror.ts';
import type { Profile } from './machines/profile.ts';
import { returnFreeMemory } from './platform/return-memory.ts';
import { sha256 } from './platform/sha256.ts';
import { ChildRootPacker } from './platform/child-root-packer.ts';
import { openUpstreams } from './registry-client/open-upstreams.ts';
import type { Settings } from './settings/schema.ts';
import { digestBytes } from './storage/digest-bytes.ts';
import { openFileUploadStore } from './storage/files/file-upload-store.ts';
import { openFileWorkspace } from './storage/files/file-workspace.ts';
import type { Stores } from './storage/stores.ts';

/** Unpacking the layers is the work of one: more than these would wait for it, each with memory of its own. */
const MAX_PACKING_PROCESSORS = 8;

/** What an image without a platform of its own is for, and which one of an index is converted. */
const PLATFORM = { os: 'linux', architecture: 'amd64' };

export interface Images {
  readonly registry: RegistryService;
  /** The registry as clients see it: with what an upstream has. */
  readonly served: ReturnType<typeof cachedRegistry>;
  readonly artifacts: PublicArtifacts;
  readonly catalogue: ImageCatalogue;
  readonly conversions: ConversionService;
  readonly channels: ChannelService;
  readonly signatureTrust: SignatureTrust;
  /** Closes the connections to upstreams. */
  close(): Promise<void>;
}

interface ImageParts {
  readonly settings: Settings;
  readonly stores: Stores;
  readonly blobs: BlobStore;
  readonly blobDirectory: string;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** What they boot is in use. */
  readonly profiles: readonly Profile[];
  /** Blobs that belong to no image and must stay. */
  readonly loaders: () => readonly { readonly digest: Digest }[];
}

/** Conversions begin with `conversions.start()` and must be stopped before the database is closed. */
export async function openImages(parts: ImageParts): Promise<Images> {
  returnFreeMemory();
  const { settings, stores, blobs, blobDirectory, events, clock } = parts;
  const logger = parts.logger.child({ component: 'images' });
  const store = stores.registry;
  const registry: RegistryService = new RegistryService({
    ...{ store, blobs, clock, digestBytes },
    uploads: await openFileUploadStore({ directory: blobDirectory, clock }),
    pinned: () => pinnedDigests({ ...parts, channels }),
    limits: { blobBytes: settings.limits.blobBytes },
  });
  const converter = new ImageConverter({
    ...{ store, blobs, registry, sha256 },
    workspace: await openFileWorkspace(join(blobDirectory, 'conversion'), blobDirectory),
    packer: new ChildRootPacker({
      blobDirectory,
      processors: Math.min(availableParallelism(), MAX_PACKING_PROCESSORS),
    }),
    platform: PLATFORM,
  });
  const conversions = new ConversionService({
    ...{ converter, events, clock },
    store: stores.conversions,
    onFailure: (error, { repository, digest }) => {
      logger.error({ err: error, repository, digest }, 'an image could not be converted');
    },
  });
  registry.onManifestStored((stored) => conversions.manifestStored(stored));
  const signatureTrust = new SignatureTrust({
    source: new StoredSignatures(store, blobs),
    keys: await loadTrustedKeys(settings.images),
    requirements: settings.images,
  });
  const upstream = await openUpstreamOf(registry, parts, logger);
  const catalogue = new ImageCatalogue({
    ...{ store, blobs, conversions },
    channels: stores.channels,
    trust: new TrustRecorder(signatureTrust, events),
    platform: PLATFORM,
    mirror: upstream?.mirror,
  });
  const channels = new ChannelService({
    ...{ registry: store, collection: registry, events, clock },
    store: stores.channels,
    trust: signatureTrust,
  });
  const artifacts = new PublicArtifacts({ conversions: stores.conversions, blobs, clock });
  const served = upstream === undefined ? registry : cachedRegistry(registry, upstream.cache);
  const close = async (): Promise<void> => upstream?.close();
  return { registry, served, artifacts, catalogue, conversions, channels, signatureTrust, close };
}

/** What makes this registry a cache of another one; undefined where the settings name none. */
async function openUpstreamOf(registry: RegistryService, parts: ImageParts, logger: Logger) {
  const { settings, clock, scheduler } = parts;
  if (settings.images.upstream.length === 0) return undefined;
  const blobLimitBytes = settings.limits.blobBytes;
  const opened = await openUpstreams(settings.images.upstream, { clock, scheduler, blobLimitBytes });
  const cache = new UpstreamCache({
    ...{ registry, clock, scheduler },
    upstreams: opened.upstreams,
    onReport: (report) => {
      if (report.kind === 'failed') logger.warn(report, 'an upstream failed');
      else logger.info(report, 'fetched from an upstream');
    },
  });
  const mirror = new UpstreamMirror({
    ...{ cache, registry, clock, platform: PLATFORM },
    onFailure: (error) => {
      logger.error({ err: error }, 'an image of an upstream could not be mirrored');
    },
  });
  return { cache, mirror, close: () => opened.close() };
}

interface PinParts {
  readonly stores: Pick<Stores, 'channels' | 'conversions' | 'machines' | 'sessions'>;
  readonly profiles: readonly Pick<Profile, 'boot'>[];
  readonly channels: Pick<ChannelService, 'resolve'>;
  readonly loaders: ImageParts['loaders'];
  readonly clock: Clock;
}

/**
 * What is in use, so that it is neither collected nor deleted: what channels point to, what machines run, what boot sessions that
 * are still open boot and what profiles name, with what was made of it; what is being converted; the boot loaders.
 */
async function pinnedDigests(parts: PinParts): Promise<ReadonlySet<Digest>> {
  const { stores, profiles, channels, loaders, clock } = parts;
  const pinned = new Set(await stores.channels.pinned());
  for (const { digest } of loaders()) pinned.add(digest);
  // All of them, however many the settings allow now: one that is left out would lose its image.
  const machines = await stores.machines.list({ limit: Number.MAX_SAFE_INTEGER });
  const named = new Set(await stores.sessions.imagesInUse(clock.now()));
  for (const { image } of machines) if (image !== undefined) named.add(image);
  for (const { boot } of profiles) named.add(boot.image);
  for (const text of named) {
    const reference = parseImageReference(text);
    const digest = reference && (await channels.resolve(reference));
    if (digest !== undefined) pinned.add(digest);
  }
  for (const conversion of await stores.conversions.list()) {
    const { state, digest } = conversion;
    if (state === 'queued' || state === 'converting') pinned.add(digest);
    // Collection would find it by its subject; a deletion by digest would not.
    if (state === 'ready' && pinned.has(digest)) pinned.add(conversion.manifest);
  }
  return pinned;
}
