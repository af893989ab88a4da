// From what people and profiles call an image to what a machine boots, or the reason why it cannot. Reads the registry, the
// channels and the conversions; decides nothing about machines.
import type { BlobStore } from './blob-store.ts';
import type { BootImage } from './boot-image.ts';
import type { ChannelStore } from './channels/channel-store.ts';
import { percentOf, type Conversion } from './conversion/conversion.ts';
import type { ConversionService } from './conversion/conversion-service.ts';
import type { Digest } from './digest.ts';
import { formatImageReference, parseImageReference, type ImageReference } from './image-reference.ts';
import { formatPlatform, identifyDocument, pickPlatform, type Platform } from './os-image.ts';
import { readBlob } from './registry/read-blob.ts';
import type { ManifestRecord, RegistryStore } from './registry/registry-store.ts';
import type { TrustPolicy } from './trust/trust-policy.ts';
import type { UpstreamMirror } from './upstream/upstream-mirror.ts';

export type ImageResolution =
  /** `reference` pins the image: whatever tag or channel led to it may move. */
  | { readonly kind: 'image'; readonly image: BootImage; readonly reference: string }
  /** `hint` is the command to go on with. */
  | { readonly kind: 'none'; readonly reason: string; readonly hint: string };

/** One manifest of a repository with the names that lead to it. */
export interface ImageView {
  /** NAME@DIGEST. */
  readonly reference: string;
  readonly name: string;
  readonly digest: Digest;
  readonly tags: readonly string[];
  readonly channels: readonly string[];
  readonly state: Conversion['state'] | 'not-converted';
  /** 0 to 100 while it is converted. */
  readonly percent?: number;
  readonly refusal?: { readonly code: string; readonly detail: string };
  readonly image?: BootImage;
  /** Of the image's manifest where `digest` is an index. */
  readonly imageDigest?: Digest;
  readonly createdAt: number;
}

export interface ImageCatalogueParts {
  readonly store: Pick<RegistryStore, 'findManifest' | 'resolveTag' | 'listTags' | 'listRepositories'>;
  readonly blobs: Pick<BlobStore, 'read'>;
  readonly channels: Pick<ChannelStore, 'find' | 'list'>;
  readonly conversions: Pick<ConversionService, 'find' | 'list' | 'progress' | 'request'>;
  readonly trust: TrustPolicy;
  readonly platform: Platform;
  /** Fetches images of an upstream; absent where there is none. */
  readonly mirror?: Pick<UpstreamMirror, 'request'> | undefined;
}

const PAGE = 1000;
/** So many repositories and tags of each are listed. */
const LIST_LIMIT = 10_000;

export class ImageCatalogue {
  readonly #parts: ImageCatalogueParts;

  constructor(parts: ImageCatalogueParts) {
    this.#parts = parts;
  }

  /** What this name means now, if it may be booted. Begins the conversion of an image that nobody tagged. */
  async resolve(text: string): Promise<ImageResolution> {
    const reference = parseImageReference(text);
    if (reference === undefined) return none(`${text} is not the name of an image`, 'muster images list');
    const upstream = this.#parts.mirror?.request(reference);
    const digest = await this.#digestOf(reference);
    const record = digest && (await this.#parts.store.findManifest(reference.name, digest));
    // A manifest that was asked for by digest may be here before its layers are.
    if (upstream?.kind === 'fetching' && (record === undefined || reference.kind === 'digest'))
      return none(`image ${text} is being fetched from upstream`, 'muster images list');
    if (upstream?.kind === 'incomplete' && record === undefined)
      return none(`image ${text} is not here: ${upstream.reason}`, 'muster images list');
    if (record === undefined) {
      const missing =
        reference.kind === 'channel' ? `channel ${text} points to no image` : `image ${text} is not in the store`;
      return none(missing, `muster images import SOURCE --name ${reference.kind === 'tag' ? text : reference.name}`);
    }
    const channel = reference.kind === 'channel' ? reference.channel : undefined;
    const trust = await this.#parts.trust.decide(reference.name, record.digest, channel);
    if (trust.kind === 'refused')
      return none(`image ${text} is refused: ${trust.reason}`, `muster images sign ${reference.name}@${record.digest}`);
    const target = await this.#targetOf(record);
    if (target === undefined) {
      const platform = formatPlatform(this.#parts.platform);
      return none(`image ${text} was refused: no-platform, it has nothing for ${platform}`, 'muster images list');
    }
    return this.#answer(text, target, await this.#parts.conversions.request(target));
  }

  /** What NAME@DIGEST was when a boot was planned with it: no policy is asked again. */
  async pinned(reference: string): Promise<BootImage | undefined> {
    const parsed = parseImageReference(reference);
    if (parsed?.kind !== 'digest') return undefined;
    const conversion = await this.#parts.conversions.find(parsed.name, parsed.digest);
    return conversion?.state === 'ready' ? conversion.image : undefined;
  }

  /** Everything that has a tag or a channel, or was converted. By name, the newest first. */
  async list(name?: string): Promise<readonly ImageView[]> {
    const names = name === undefined ? await this.#names() : [name];
    const views: ImageView[] = [];
    for (const one of names) views.push(...(await this.#viewsOf(one)));
    return views;
  }

  /** Whether there is nothing that could ever be booted. */
  async isEmpty(): Promise<boolean> {
    for (const { repository, digest } of await this.#parts.conversions.list())
      if ((await this.#parts.store.findManifest(repository, digest)) !== undefined) return false;
    return true;
  }

  /** The digest of the manifest that this names, booted or not. */
  async digest(reference: ImageReference): Promise<Digest | undefined> {
    const digest = await this.#digestOf(reference);
    return digest && (await this.#parts.store.findManifest(reference.name, digest))?.digest;
  }

  async #digestOf(reference: ImageReference): Promise<Digest | undefined> {
    switch (reference.kind) {
      case 'digest':
        return reference.digest;
      case 'tag':
        return this.#parts.store.resolveTag(reference.name, reference.tag);
      case 'channel':
        return (await this.#parts.channels.find(reference.name, reference.channel))?.digest;
    }
  }

  /** The manifest itself, or the one of an index for our platform. */
  async #targetOf(record: ManifestRecord): Promise<ManifestRecord | undefined> {
    const document = identifyDocument(await readBlob(this.#parts.blobs, record.digest), record.mediaType);
    if (document.kind !== 'index') return record;
    const entry = pickPlatform(document.entries, this.#parts.platform);
    return entry && this.#parts.store.findManifest(record.repository, entry.digest);
  }

  #answer(text: string, target: ManifestRecord, conversion: Conversion | undefined): ImageResolution {
    if (conversion === undefined) return none(`${text} is not an OS image`, `muster images show ${text}`);
    switch (conversion.state) {
      case 'ready':
        return {
          kind: 'image',
          image: conversion.image,
          reference: formatImageReference({ kind: 'digest', name: target.repository, digest: target.digest }),
        };
      case 'queued':
        return none(`image ${text} waits for its conversion`, 'muster images list');
      case 'converting':
        return none(`image ${text} is being converted${this.#percent(conversion)}`, 'muster images list');
      case 'refused':
        return none(`image ${text} was refused: ${conversion.refusal.code}`, `muster images show ${text}`);
    }
  }

  #percent(conversion: Conversion): string {
    const progress = this.#parts.conversions.progress(conversion);
    return progress === undefined ? '' : ` (${percentOf(progress)} %)`;
  }

  async #names(): Promise<readonly string[]> {
    const names: string[] = [];
    for (let after: string | undefined; names.length < LIST_LIMIT; after = names.at(-1)) {
      const page = await this.#parts.store.listRepositories({ limit: PAGE, ...(after !== undefined && { after }) });
      names.push(...page);
      if (page.length < PAGE) break;
    }
    return names;
  }

  async #viewsOf(name: string): Promise<readonly ImageView[]> {
    const tagsByDigest = await this.#tagsOf(name);
    const channels = await this.#parts.channels.list(name);
    const conversions = await this.#parts.conversions.list(name);
    const digests = new Set([...tagsByDigest.keys(), ...channels.map(({ digest }) => digest)]);
    const views: ImageView[] = [];
    const shown = new Set<Digest>();
    for (const digest of digests) {
      const record = await this.#parts.store.findManifest(name, digest);
      if (record === undefined) continue;
      const target = await this.#targetOf(record);
      const conversion = conversions.find((one) => one.digest === target?.digest);
      if (conversion === undefined && (await this.#isOther(record))) continue;
      if (target !== undefined) shown.add(target.digest);
      const names = {
        tags: tagsByDigest.get(digest) ?? [],
        channels: channels.filter((move) => move.digest === digest).map(({ channel }) => channel),
      };
      views.push({ ...this.#view(record, conversion), ...names });
    }
    for (const conversion of conversions) {
      if (shown.has(conversion.digest)) continue;
      const record = await this.#parts.store.findManifest(name, conversion.digest);
      if (record !== undefined) views.push({ ...this.#view(record, conversion), tags: [], channels: [] });
    }
    return views.sort((a, b) => b.createdAt - a.createdAt || (a.digest < b.digest ? -1 : 1));
  }

  #view(record: ManifestRecord, conversion: Conversion | undefined): Omit<ImageView, 'tags' | 'channels'> {
    const { repository: name, digest, createdAt } = record;
    const progress = conversion && this.#parts.conversions.progress(conversion);
    return {
      reference: formatImageReference({ kind: 'digest', name, digest }),
      ...{ name, digest, createdAt },
      state: conversion?.state ?? 'not-converted',
      ...(conversion !== undefined && conversion.digest !== digest && { imageDigest: conversion.digest }),
      ...(progress !== undefined && { percent: percentOf(progress) }),
      ...(conversion?.state === 'ready' && { image: conversion.image }),
      ...(conversion?.state === 'refused' && { refusal: conversion.refusal }),
    };
  }

  async #isOther(record: ManifestRecord): Promise<boolean> {
    const document = identifyDocument(await readBlob(this.#parts.blobs, record.digest), record.mediaType);
    return document.kind === 'other';
  }

  async #tagsOf(name: string): Promise<ReadonlyMap<Digest, readonly string[]>> {
    const tags = new Map<Digest, string[]>();
    let after: string | undefined;
    for (let seen = 0; seen < LIST_LIMIT; seen += PAGE) {
      const page = await this.#parts.store.listTags(name, { limit: PAGE, ...(after !== undefined && { after }) });
      for (const tag of page) {
        const digest = await this.#parts.store.resolveTag(name, tag);
        if (digest !== undefined) tags.set(digest, [...(tags.get(digest) ?? []), tag]);
      }
      after = page.at(-1);
      if (page.length < PAGE) break;
    }
    return tags;
  }
}

function none(reason: string, hint: string): ImageResolution {
  return { kind: 'none', reason, hint };
}
