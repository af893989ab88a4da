// Small container images made by hand: blobs and manifests as values, and a folder in the OCI image-layout for tools that read one.
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { parseDigest, type Digest } from '../../src/images/digest.ts';

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
export const OCI_EMPTY = 'application/vnd.oci.empty.v1+json';

export interface Content {
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly mediaType: string;
}

export interface ContainerImage {
  readonly config: Content;
  readonly layers: readonly Content[];
  readonly manifest: Content;
}

export function digestOf(bytes: Uint8Array, algorithm: 'sha256' | 'sha512' = 'sha256'): Digest {
  return parseDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`)!;
}

export function aContent(
  bytes: Uint8Array | string,
  mediaType = 'application/octet-stream',
  algorithm?: 'sha256' | 'sha512',
): Content {
  const copy = Buffer.from(bytes);
  return { digest: digestOf(copy, algorithm), bytes: copy, mediaType };
}

export function aDescriptor({ digest, bytes, mediaType }: Content): object {
  return { mediaType, digest, size: bytes.length };
}

/** A manifest of these parts, `rest` over it; its text is what JSON.stringify makes of it. */
export function aManifest(
  config: Content,
  layers: readonly Content[],
  rest: object = {},
  algorithm?: 'sha256' | 'sha512',
): Content {
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: aDescriptor(config),
    layers: layers.map(aDescriptor),
    ...rest,
  };
  return aContent(JSON.stringify(manifest), OCI_MANIFEST, algorithm);
}

/** A layer that holds these files (name → content), with fixed times. */
export async function aLayer(files: Readonly<Record<string, string | Buffer>>): Promise<Content & { diffId: Digest }> {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) archive.entry({ name, mtime: new Date(0) }, content);
  archive.finalize();
  const tar = await buffer(archive);
  return { ...aContent(gzipSync(tar, { level: 1 }), OCI_LAYER), diffId: digestOf(tar) };
}

export function aContainerImage(layers: readonly (Content & { diffId: Digest })[]): ContainerImage {
  const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) };
  const config = aContent(
    JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs, history: layers.map(() => ({})) }),
    OCI_CONFIG,
  );
  return { config, layers, manifest: aManifest(config, layers) };
}

/** Writes image-layout.md's folder: oci-layout, index.json and the blobs, each image under its tag. */
export async function writeOciLayout(folder: string, images: Readonly<Record<string, ContainerImage>>): Promise<void> {
  await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  for (const { config, layers, manifest } of Object.values(images)) {
    for (const { digest, bytes } of [config, ...layers, manifest])
      await writeFile(join(folder, 'blobs', digest.replace(':', '/')), bytes);
  }
  const manifests = Object.entries(images).map(([tag, { manifest }]) => ({
    ...aDescriptor(manifest),
    annotations: { 'org.opencontainers.image.ref.name': tag },
  }));
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
}
