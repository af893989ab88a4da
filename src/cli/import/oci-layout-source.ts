// An OCI image layout (image-spec, image-layout.md), as a folder or inside a tar.
import type { Digest } from '../../images/digest.ts';
import {
  OCI_INDEX_TYPE,
  parseManifest,
  type OciDescriptor,
  type OciManifest,
} from '../../images/registry/oci-manifest.ts';
import { formatPlatform, pickPlatform, type Platform } from '../../images/os-image.ts';
import {
  notAnImage,
  readWhole,
  type ImageSource,
  type SourceBlob,
  type SourceFile,
  type SourceFiles,
} from './image-source.ts';

const MANIFEST_LIMIT_BYTES = 4 * 1024 * 1024;
const NAME_ANNOTATION = 'org.opencontainers.image.ref.name';
const INDEX_DEPTH = 3;

export interface LayoutRequest {
  readonly files: SourceFiles;
  /** The layout's path, for messages. */
  readonly what: string;
  /** Which image of the layout; may be left out where there is one. */
  readonly tag?: string | undefined;
  readonly platform: Platform;
}

export async function openOciLayout(request: LayoutRequest): Promise<ImageSource> {
  const { files, what } = request;
  const index = await files.find('index.json');
  if (index === undefined) throw notAnImage(what, 'there is no index.json in it, as an OCI image layout has.');
  const parsed = parseManifest(await readWhole(index, MANIFEST_LIMIT_BYTES), OCI_INDEX_TYPE);
  if (parsed.kind === 'invalid' || parsed.manifest.kind !== 'index') throw notAnImage(what, 'its index.json is none.');
  const named = pickByTag(parsed.manifest.manifests, request);
  return openImage(named, request, INDEX_DEPTH);
}

function pickByTag(manifests: readonly OciDescriptor[], { tag, what }: LayoutRequest): OciDescriptor {
  const tags = manifests.map(({ annotations }) => annotations?.[NAME_ANNOTATION]);
  const [only, ...others] = tag === undefined ? manifests : manifests.filter((_, index) => tags[index] === tag);
  const known = tags.filter((name) => name !== undefined).join(', ') || 'none';
  if (only === undefined) throw notAnImage(what, `it has no image ${tag ?? ''} (tags: ${known}).`);
  if (others.length > 0)
    throw notAnImage(what, `it has ${others.length + 1} images; name one as ${what}:TAG (tags: ${known}).`);
  return only;
}

async function openImage(descriptor: OciDescriptor, request: LayoutRequest, depth: number): Promise<ImageSource> {
  const { what, platform } = request;
  const content = await readWhole(await blobIn(request, descriptor.digest), MANIFEST_LIMIT_BYTES);
  const parsed = parseManifest(content, descriptor.mediaType);
  if (parsed.kind === 'invalid') throw notAnImage(what, parsed.reason);
  if (parsed.manifest.kind === 'image') {
    const manifest = { digest: descriptor.digest, mediaType: descriptor.mediaType, content };
    return { manifest, blobs: await blobsOf(parsed.manifest, (digest) => blobIn(request, digest)) };
  }
  const child = depth > 0 ? pickPlatform(parsed.manifest.manifests, platform) : undefined;
  if (child === undefined) throw notAnImage(what, `it has nothing for ${formatPlatform(platform)} (--platform).`);
  return openImage(child, request, depth - 1);
}

/** Config and layers of a manifest, each once. */
export async function blobsOf(
  manifest: Extract<OciManifest, { kind: 'image' }>,
  open: (digest: Digest, sizeBytes: number) => Promise<SourceFile>,
): Promise<readonly SourceBlob[]> {
  const labelled: [string, OciDescriptor][] = manifest.layers.map((layer, index) => [
    `layer ${index + 1}/${manifest.layers.length}`,
    layer,
  ]);
  labelled.push(['config', manifest.config]);
  const blobs = new Map<Digest, SourceBlob>();
  for (const [label, { digest, size }] of labelled)
    if (!blobs.has(digest)) blobs.set(digest, { ...(await open(digest, size)), label, digest });
  return [...blobs.values()];
}

async function blobIn({ files, what }: LayoutRequest, digest: Digest): Promise<SourceFile> {
  const file = await files.find(`blobs/${digest.replace(':', '/')}`);
  if (file === undefined) throw notAnImage(what, `its blob ${digest} is missing.`);
  return file;
}
