// Which pushed manifests are OS images, and which of an index's images is meant. Pure.
import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { BOOT_ARTIFACT_TYPE } from './boot-image.ts';
import { layerCompression } from './flatten/layer-source.ts';
import { parseManifest, type OciDescriptor } from './registry/oci-manifest.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

export type ImageDocument =
  | {
      readonly kind: 'os-image';
      readonly config: OciDescriptor;
      readonly layers: readonly OciDescriptor[];
      readonly annotations: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'boot-manifest' }
  | { readonly kind: 'index'; readonly entries: readonly OciDescriptor[] }
  /** Signatures, charts, and whatever else a registry holds. */
  | { readonly kind: 'other' };

const CONFIG_TYPES = /^application\/vnd\.(?:oci\.image\.config\.v1|docker\.container\.image\.v1)\+json$/;

/** `mediaType` as the registry has it on record. */
export function identifyDocument(bytes: Uint8Array, mediaType: string): ImageDocument {
  const parsed = parseManifest(bytes, mediaType);
  if (parsed.kind === 'invalid') return { kind: 'other' };
  const { manifest } = parsed;
  if (manifest.kind === 'index') return { kind: 'index', entries: manifest.manifests };
  if (manifest.artifactType === BOOT_ARTIFACT_TYPE) return { kind: 'boot-manifest' };
  const { config, layers, annotations } = manifest;
  // cosign's signatures have the config of an image, but no layer that is a tar.
  const isImage =
    manifest.artifactType === undefined &&
    CONFIG_TYPES.test(config.mediaType) &&
    layers.every((layer) => layerCompression(layer.mediaType) !== undefined);
  return isImage ? { kind: 'os-image', config, layers, annotations } : { kind: 'other' };
}

const configSchema = z.object({
  architecture: z
    .string()
    .regex(/^[a-z0-9_]{1,32}$/)
    .optional()
    .catch(undefined),
  config: z
    .object({ Labels: z.record(z.string(), z.string()).nullish() })
    .nullish()
    .catch(undefined),
});

/** What the configuration of an image says of it; empty where it is nothing that can be read. */
export function parseImageConfig(bytes: Uint8Array): {
  readonly architecture?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
} {
  const parsed = configSchema.safeParse(jsonOf(bytes));
  if (!parsed.success) return { labels: {} };
  return { architecture: parsed.data.architecture, labels: parsed.data.config?.Labels ?? {} };
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** `linux/amd64` or `linux/arm64/v8`. */
export function parsePlatform(text: string): Platform | undefined {
  const [, os, architecture, variant] = /^([a-z0-9]+)\/([a-z0-9_]+)(?:\/([a-z0-9.]+))?$/.exec(text) ?? [];
  if (os === undefined || architecture === undefined) return undefined;
  return { os, architecture, ...(variant !== undefined && { variant }) };
}

/** The first entry for this platform; the variant counts where both sides name one. */
export function pickPlatform(entries: readonly OciDescriptor[], wanted: Platform): OciDescriptor | undefined {
  return entries.find(
    ({ platform }) =>
      platform?.os === wanted.os &&
      platform.architecture === wanted.architecture &&
      (wanted.variant === undefined || platform.variant === undefined || platform.variant === wanted.variant),
  );
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
}
