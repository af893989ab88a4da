// How signatures lie beside an image in a registry: a manifest with one layer for each, found by its tag (cosign's way since
// 1.0) and as a referrer of the image (OCI 1.1). Pure.
//
// Forms: cosign, specs/SIGNATURE_SPEC.md "Storage"; image-spec manifest.md, "subject" and "artifactType".
import { z } from 'zod';
import type { Sha256 } from '../../clock.ts';
import { digestParts, parseDigest, type Digest } from '../digest.ts';

/** What `cosign sign --registry-referrers-mode=oci-1-1` gives its signatures. */
export const SIGNATURE_ARTIFACT_TYPE = 'application/vnd.dev.cosign.artifact.sig.v1+json';
export const OCI_MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const PAYLOAD_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json';
const SIGNATURE_ANNOTATION = 'dev.cosignproject.cosign/signature';
/** So many signatures of one image are looked at. */
const LAYER_LIMIT = 64;
export const SIGNATURE_MANIFEST_LIMIT_BYTES = 1024 * 1024;

const layerSchema = z.looseObject({
  mediaType: z.string(),
  size: z.int().nonnegative(),
  digest: z.string().transform((text, context): Digest => {
    const digest = parseDigest(text);
    if (digest === undefined) context.issues.push({ code: 'custom', message: 'is no digest', input: text });
    return digest ?? z.NEVER;
  }),
  annotations: z.record(z.string(), z.string()).optional(),
});
const manifestSchema = z.looseObject({ layers: z.array(layerSchema).max(LAYER_LIMIT) });

/** A layer as it stands in the manifest; cosign's further annotations (certificates, bundles) stay with it. */
export type SignatureLayer = z.output<typeof layerSchema>;

export interface SignedLayer {
  readonly layer: SignatureLayer;
  readonly payload: Digest;
  /** Base64. */
  readonly signature: string;
}

/**
 * `sha256-<hex>.sig`: the tag under which the signatures of an image are found. None for SHA-512, whose hex leaves no room in the
 * 128 characters of a tag: such signatures are found as referrers alone.
 */
export function signatureTag(image: Digest): string | undefined {
  const { algorithm, hex } = digestParts(image);
  return algorithm === 'sha256' ? `sha256-${hex}.sig` : undefined;
}

/** The signatures that a manifest holds; undefined where it is no signature manifest at all. */
export function parseSignatureManifest(bytes: Uint8Array): readonly SignedLayer[] | undefined {
  if (bytes.length > SIGNATURE_MANIFEST_LIMIT_BYTES) return undefined;
  const parsed = manifestSchema.safeParse(jsonOf(bytes));
  if (!parsed.success) return undefined;
  return parsed.data.layers.flatMap((layer) => {
    const signature = layer.annotations?.[SIGNATURE_ANNOTATION];
    return layer.mediaType === PAYLOAD_TYPE && signature !== undefined
      ? [{ layer, payload: layer.digest, signature }]
      : [];
  });
}

/** The layer for one more signature. */
export function signatureLayer(payload: Uint8Array, signature: Uint8Array, sha256: Sha256): SignatureLayer {
  return {
    mediaType: PAYLOAD_TYPE,
    size: payload.length,
    digest: digestOf(payload, sha256),
    annotations: { [SIGNATURE_ANNOTATION]: Buffer.from(signature).toString('base64') },
  };
}

/**
 * The manifest with all signatures of an image, and its config: the same bytes for the same layers. The config is cosign's, an
 * image's in form, so that clients which know nothing of artifacts can pull it.
 */
export function buildSignatureManifest(
  image: { readonly digest: Digest; readonly mediaType: string; readonly sizeBytes: number },
  layers: readonly SignatureLayer[],
  sha256: Sha256,
): { readonly manifest: Uint8Array; readonly config: Uint8Array; readonly configDigest: Digest } {
  const epoch = '0001-01-01T00:00:00Z';
  const config = encode({
    architecture: '',
    created: epoch,
    history: layers.map(() => ({ created: epoch })),
    os: '',
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    config: {},
  });
  const configDigest = digestOf(config, sha256);
  const manifest = encode({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST_TYPE,
    artifactType: SIGNATURE_ARTIFACT_TYPE,
    config: { mediaType: CONFIG_TYPE, size: config.length, digest: configDigest },
    layers,
    subject: { mediaType: image.mediaType, size: image.sizeBytes, digest: image.digest },
  });
  return { manifest, config, configDigest };
}

function digestOf(bytes: Uint8Array, sha256: Sha256): Digest {
  const digest = parseDigest(`sha256:${sha256(bytes)}`);
  if (digest === undefined) throw new RangeError('a SHA-256 has 64 hex digits');
  return digest;
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
