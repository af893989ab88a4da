// An image in another registry: docker://host/name:tag. Its blobs go from there to Muster without being stored here.
import { parseManifest } from '../../images/registry/oci-manifest.ts';
import { formatPlatform, pickPlatform, type Platform } from '../../images/os-image.ts';
import type { RegistryAddress } from '../../registry-client/registry-address.ts';
import type { PulledManifest, RegistryClient } from '../../registry-client/registry-client.ts';
import { CliError } from '../cli-error.ts';
import { notAnImage, type ImageSource, type SourceFile } from './image-source.ts';
import { blobsOf } from './oci-layout-source.ts';

const INDEX_DEPTH = 3;

/** The client is for the address's host, and stays open until all blobs are through. */
export async function openRegistryImage(
  { host, repository, reference }: RegistryAddress,
  client: RegistryClient,
  platform: Platform,
): Promise<ImageSource> {
  const what = `docker://${host}/${repository}`;
  const pull = async (name: string): Promise<PulledManifest> => {
    const manifest = await client.pullManifest(repository, name);
    if (manifest === undefined) throw new CliError('not-found', `There is no ${name} at ${what}.`);
    return manifest;
  };
  let manifest = await pull('tag' in reference ? reference.tag : reference.digest);
  for (let depth = 0; depth < INDEX_DEPTH; depth += 1) {
    const parsed = parseManifest(manifest.content, manifest.mediaType);
    if (parsed.kind === 'invalid') throw notAnImage(what, parsed.reason);
    if (parsed.manifest.kind === 'image') {
      const blobs = await blobsOf(parsed.manifest, (digest, sizeBytes) =>
        Promise.resolve(remoteBlob(digest, sizeBytes)),
      );
      return { manifest, blobs };
    }
    const child = pickPlatform(parsed.manifest.manifests, platform);
    if (child === undefined) throw notAnImage(what, `it has nothing for ${formatPlatform(platform)} (--platform).`);
    manifest = await pull(child.digest);
  }
  throw notAnImage(what, 'its index names an index, which names an index.');

  function remoteBlob(digest: PulledManifest['digest'], sizeBytes: number): SourceFile {
    return {
      sizeBytes,
      open: async (start) => {
        const blob = await client.pullBlob(repository, digest, { offset: start });
        if (blob === undefined) throw new CliError('not-found', `${digest} is missing at ${what}.`);
        return blob.content;
      },
    };
  }
}
