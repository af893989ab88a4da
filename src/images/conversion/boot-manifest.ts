// The boot manifest: an OCI manifest that names kernel, initrd and squashfs of an image. Pure, and without any date: the same
// parts give the same bytes, hence the same digest.
import { Buffer } from 'node:buffer';
import { z } from 'zod';
import type { Sha256 } from '../../clock.ts';
import {
  BOOT_ARTIFACT_TYPE,
  BOOT_CONFIG_TYPE,
  BOOT_LAYER_TYPES,
  IMAGE_FAMILIES,
  type BootImage,
  type ImagePart,
} from '../boot-image.ts';
import { parseDigest, type Digest } from '../digest.ts';

/** What machines compare by `sort -V`, and what may stand in a shell and in a boot entry as it is. */
const VERSION_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}$/;
const IMAGE_MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
/** Both documents are small; whoever pushes a larger one is not understood. */
const BOOT_DOCUMENT_LIMIT_BYTES = 64 * 1024;

/** What a boot manifest says beside the digests of the three parts. */
export type BootConfig = Pick<
  BootImage,
  'family' | 'commandLine' | 'os' | 'kairos' | 'architecture' | 'version' | 'requiresVersion'
> & {
  readonly kernelVersion?: string;
};

export interface Subject {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface BootManifest {
  readonly config: ImagePart;
  readonly kernel: ImagePart;
  readonly initrd: ImagePart;
  readonly squashfs: ImagePart;
  readonly subject?: Digest;
}

export interface EncodedDocument extends ImagePart {
  readonly bytes: Buffer;
}

export function encodeBootConfig(config: BootConfig, sha256: Sha256): EncodedDocument {
  const { family, commandLine, kernelVersion, os, kairos, architecture, version, requiresVersion } = config;
  // Machines read the version by its place, the first of all: see boot-assets/agent.
  return encode({ version, requiresVersion, family, commandLine, kernelVersion, os, kairos, architecture }, sha256);
}

export function encodeBootManifest(
  parts: Pick<BootManifest, 'config' | 'kernel' | 'initrd' | 'squashfs'> & { readonly subject?: Subject },
  sha256: Sha256,
): EncodedDocument {
  const { subject } = parts;
  const manifest = {
    schemaVersion: 2,
    mediaType: IMAGE_MANIFEST_TYPE,
    artifactType: BOOT_ARTIFACT_TYPE,
    config: descriptor(BOOT_CONFIG_TYPE, parts.config),
    layers: [
      descriptor(BOOT_LAYER_TYPES.kernel, parts.kernel),
      descriptor(BOOT_LAYER_TYPES.initrd, parts.initrd),
      descriptor(BOOT_LAYER_TYPES.squashfs, parts.squashfs),
    ],
    subject: subject && descriptor(subject.mediaType, subject),
  };
  return encode(manifest, sha256);
}

const digest = z.string().transform((text, context): Digest => {
  const parsed = parseDigest(text);
  if (parsed === undefined) context.issues.push({ code: 'custom', message: 'is not a digest', input: text });
  return parsed ?? z.NEVER;
});
const blob = <T extends string>(mediaType: T) =>
  z
    .object({ mediaType: z.literal(mediaType), digest, size: z.int().min(0) })
    .transform(({ digest: of, size }): ImagePart => ({ digest: of, sizeBytes: size }));
const manifestSchema = z.object({
  artifactType: z.literal(BOOT_ARTIFACT_TYPE),
  config: blob(BOOT_CONFIG_TYPE),
  layers: z.tuple([blob(BOOT_LAYER_TYPES.kernel), blob(BOOT_LAYER_TYPES.initrd), blob(BOOT_LAYER_TYPES.squashfs)]),
  subject: z.object({ digest }).optional(),
});

// A word ends at a space, and the kernel command line at a newline: neither may hide inside one. `$` would mean something to iPXE.
const kernelWord = z.string().regex(/^[\x21-\x23\x25-\x7e]{1,512}$/, 'must be one word of printable ASCII without $');
const line = z.string().max(200);
const version = z.string().regex(VERSION_PATTERN, 'must be a version: letters, digits and . _ + ~ - alone');
const configSchema = z.object({
  family: z.enum(IMAGE_FAMILIES),
  commandLine: z.array(kernelWord).max(64).default([]),
  kernelVersion: line.optional(),
  version: version.optional(),
  requiresVersion: version.optional(),
  os: z.object({ id: line, versionId: line.optional(), prettyName: line.optional() }).default({ id: 'linux' }),
  kairos: z.object({ version: line, flavor: line.optional() }).optional(),
  architecture: line.default('amd64'),
});

export function isVersion(text: string | undefined): text is string {
  return text !== undefined && VERSION_PATTERN.test(text);
}

/** Undefined where the bytes are no boot manifest. */
export function parseBootManifest(bytes: Uint8Array): BootManifest | undefined {
  const parsed = manifestSchema.safeParse(jsonOf(bytes));
  if (!parsed.success) return undefined;
  const { config, layers, subject } = parsed.data;
  const [kernel, initrd, squashfs] = layers;
  return { config, kernel, initrd, squashfs, ...(subject !== undefined && { subject: subject.digest }) };
}

/** Undefined where the bytes are no configuration of a boot manifest. */
export function parseBootConfig(bytes: Uint8Array): BootConfig | undefined {
  const parsed = configSchema.safeParse(jsonOf(bytes));
  if (!parsed.success) return undefined;
  const { family, commandLine, architecture, kernelVersion, os, kairos, version: own, requiresVersion } = parsed.data;
  const { id, versionId, prettyName } = os;
  return {
    ...{ family, commandLine, architecture },
    os: { id, ...(versionId !== undefined && { versionId }), ...(prettyName !== undefined && { prettyName }) },
    ...(kernelVersion !== undefined && { kernelVersion }),
    ...(own !== undefined && { version: own }),
    ...(requiresVersion !== undefined && { requiresVersion }),
    ...(kairos !== undefined && {
      kairos: { version: kairos.version, ...(kairos.flavor !== undefined && { flavor: kairos.flavor }) },
    }),
  };
}

function descriptor(mediaType: string, part: ImagePart): { mediaType: string; digest: Digest; size: number } {
  return { mediaType, digest: part.digest, size: part.sizeBytes };
}

function encode(document: object, sha256: Sha256): EncodedDocument {
  const bytes = Buffer.from(JSON.stringify(document));
  const parsed = parseDigest(`sha256:${sha256(bytes)}`);
  if (parsed === undefined) throw new RangeError('a SHA-256 has 64 lower-case hex digits');
  return { bytes, digest: parsed, sizeBytes: bytes.length };
}

function jsonOf(bytes: Uint8Array): unknown {
  if (bytes.length > BOOT_DOCUMENT_LIMIT_BYTES) return undefined;
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
