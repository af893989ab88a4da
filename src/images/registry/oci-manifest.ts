// Manifests as they are pushed: OCI image manifest and index (image-spec, manifest.md and image-index.md) and Docker's schema 2
// of both. Pure: bytes → readonly value or a reason.
import { z } from 'zod';
import { parseDigest, type Digest } from '../digest.ts';

export const OCI_MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const DOCKER_MANIFEST_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LIST_TYPE = 'application/vnd.docker.distribution.manifest.list.v2+json';

const KINDS: Readonly<Record<string, OciManifest['kind']>> = {
  [OCI_MANIFEST_TYPE]: 'image',
  [DOCKER_MANIFEST_TYPE]: 'image',
  [OCI_INDEX_TYPE]: 'index',
  [DOCKER_LIST_TYPE]: 'index',
};

/** Layers that stay where their urls say (image-spec, layer.md "Non-Distributable Layers"): clients don't push them. */
const FOREIGN_LAYER = /(?:\.foreign\.|\.nondistributable\.)/;
const DESCRIPTOR_LIMIT = 10_000;

/** RFC 6838 §4.2. */
const MEDIA_TYPE = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;

export interface OciDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly artifactType?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly platform?: OciPlatform | undefined;
}

interface OciPlatform {
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string | undefined;
}

interface CommonParts {
  readonly mediaType: string;
  readonly artifactType?: string | undefined;
  readonly subject?: OciDescriptor | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

export type OciManifest =
  | (CommonParts & {
      readonly kind: 'image';
      readonly config: OciDescriptor;
      readonly layers: readonly OciDescriptor[];
    })
  | (CommonParts & { readonly kind: 'index'; readonly manifests: readonly OciDescriptor[] });

export type ParsedManifest =
  { readonly kind: 'parsed'; readonly manifest: OciManifest } | { readonly kind: 'invalid'; readonly reason: string };

const mediaType = z.string().regex(MEDIA_TYPE, 'is not a media type');
const annotations = z.record(z.string(), z.string());
const descriptor = z
  .object({
    mediaType,
    digest: z.string().transform((text, context): Digest => {
      const digest = parseDigest(text);
      if (digest === undefined) context.issues.push({ code: 'custom', message: 'is not a digest', input: text });
      return digest ?? z.NEVER;
    }),
    size: z.int().nonnegative(),
    artifactType: mediaType.optional().catch(undefined),
    annotations: annotations.optional(),
    platform: z
      .object({ architecture: z.string(), os: z.string(), variant: z.string().optional() })
      .readonly()
      .optional()
      .catch(undefined),
  })
  .readonly();
// Go programs write an empty list as null.
const descriptors = z
  .array(descriptor)
  .max(DESCRIPTOR_LIMIT)
  .nullable()
  .transform((list) => list ?? [])
  .readonly();
const common = {
  schemaVersion: z.literal(2),
  mediaType: mediaType.optional(),
  artifactType: mediaType.or(z.literal('')).optional(),
  subject: descriptor.optional(),
  annotations: annotations.nullish(),
};
// What is an image to one reader and an index to another could hide content from the one that checks (CVE-2021-41190).
const absent = z.undefined('stands for a manifest of another kind');
const image = z.object({ ...common, config: descriptor, layers: descriptors, manifests: absent.optional() });
const index = z.object({ ...common, manifests: descriptors, config: absent.optional(), layers: absent.optional() });

/** `declaredType` is the Content-Type of the push; without one the manifest's own mediaType counts. */
export function parseManifest(bytes: Uint8Array, declaredType?: string): ParsedManifest {
  const json = parseJson(bytes);
  if (json === undefined) return { kind: 'invalid', reason: 'It is not JSON in UTF-8.' };
  const own = z.object({ mediaType: z.string() }).safeParse(json).data?.mediaType;
  const type = declaredType ?? own;
  if (type === undefined)
    return { kind: 'invalid', reason: 'Neither the request nor the manifest names a media type.' };
  if (own !== undefined && own !== type) {
    return { kind: 'invalid', reason: `It was sent as ${quoted(type)} but says of itself ${quoted(own)}.` };
  }
  const kind = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
  if (kind === undefined) return { kind: 'invalid', reason: `Manifests of type ${quoted(type)} are not taken.` };
  return kind === 'image' ? parseImage(json, type) : parseIndex(json, type);
}

/** What must be in the repository before this manifest may be. */
export function neededDescriptors(manifest: OciManifest): readonly OciDescriptor[] {
  if (manifest.kind === 'index') return manifest.manifests;
  return [manifest.config, ...manifest.layers.filter((layer) => !FOREIGN_LAYER.test(layer.mediaType))];
}

/** The type by which referrers are listed: an image without its own has its config's (distribution-spec "Listing Referrers"). */
export function artifactTypeOf(manifest: OciManifest): string | undefined {
  if (manifest.artifactType !== undefined) return manifest.artifactType;
  return manifest.kind === 'image' ? manifest.config.mediaType : undefined;
}

function parseImage(json: unknown, type: string): ParsedManifest {
  const { success, data, error } = image.safeParse(json);
  if (!success) return { kind: 'invalid', reason: describe(error) };
  const { config, layers } = data;
  return { kind: 'parsed', manifest: { kind: 'image', ...commonParts(data, type), config, layers } };
}

function parseIndex(json: unknown, type: string): ParsedManifest {
  const { success, data, error } = index.safeParse(json);
  if (!success) return { kind: 'invalid', reason: describe(error) };
  return { kind: 'parsed', manifest: { kind: 'index', ...commonParts(data, type), manifests: data.manifests } };
}

function commonParts(data: z.output<typeof image> | z.output<typeof index>, type: string): CommonParts {
  return {
    mediaType: type,
    ...(data.artifactType !== undefined && data.artifactType !== '' && { artifactType: data.artifactType }),
    ...(data.subject !== undefined && { subject: data.subject }),
    annotations: data.annotations ?? {},
  };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

function describe(error: z.ZodError): string {
  const [issue] = error.issues;
  return issue === undefined ? 'It is not a manifest.' : `${issue.path.join('.') || 'The manifest'}: ${issue.message}.`;
}

/** Text that came with a request, short enough for a message. */
function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
