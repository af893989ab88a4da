// An image in another registry: docker://host/name:tag. Its blobs go from there to Muster without being stored here.
import { parseManifest } from '../../images/registry/oci-manifest.ts';
import { formatPlatform, pickPlatform, type Platform } from '../../images/os-image.ts';
import type { RegistryAddress } from '../../registry-client/registry-address.ts';
import { RegistryClient, type PulledManifest } from '../../registry-client/registry-client.ts';
import { RegistryError } from '../../registry-client/registry-error.ts';
import { CliError } from '../cli-error.ts';
import type { CommandTools } from '../command-tools.ts';
import { notAnImage, type ImageSource, type SourceFile } from './image-source.ts';
import { blobsOf } from './oci-layout-source.ts';
import { authoritiesFor, explainFailure, parseCredentials, urlsOf } from './registry-access.ts';

const INDEX_DEPTH = 3;
const SHOWN_TAGS = 10;

interface RegistrySourceOptions {
  readonly platform: Platform;
  /** `user:password` */
  readonly credentials?: string | undefined;
}

/** Throws CliError. The source holds connections until it is closed. */
export async function openRegistryImage(
  address: RegistryAddress,
  options: RegistrySourceOptions,
  { clock, scheduler, interrupted }: CommandTools,
): Promise<ImageSource> {
  const credentials = parseCredentials(options.credentials);
  const caPem = await authoritiesFor(address.host);
  const open = async (url: string): Promise<ImageSource> => {
    const client = new RegistryClient({
      ...{ url, clock, scheduler, signal: interrupted },
      ...(credentials !== undefined && { credentials }),
      ...(caPem !== undefined && { caPem }),
    });
    try {
      return { ...(await findImage(address, client, options.platform)), close: () => client.close() };
    } catch (error) {
      await client.close();
      throw error;
    }
  };
  const [url = '', plainUrl] = urlsOf(address.host);
  try {
    return await open(url).catch((error: unknown) => {
      if (plainUrl === undefined || !(error instanceof RegistryError) || error.reason !== 'no-tls') throw error;
      return open(plainUrl);
    });
  } catch (error) {
    throw explainFailure(error, address, credentials !== undefined);
  }
}

async function findImage(
  { host, repository, reference }: RegistryAddress,
  client: RegistryClient,
  platform: Platform,
): Promise<ImageSource> {
  const what = `docker://${host}/${repository}`;
  const pull = async (name: string): Promise<PulledManifest> => {
    const manifest = await client.pullManifest(repository, name);
    if (manifest !== undefined) return manifest;
    throw new CliError('not-found', `There is no ${name} at ${what}.\nFix: ${await whatIsThere(client, repository)}`);
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
    const { manifests } = parsed.manifest;
    const child = pickPlatform(manifests, platform);
    if (child === undefined) {
      const known = manifests.flatMap((entry) =>
        entry.platform === undefined ? [] : [formatPlatform(entry.platform)],
      );
      const there = known.join(', ') || 'no platform that it names';
      throw notAnImage(what, `it has nothing for ${formatPlatform(platform)}.\nFix: --platform with one of: ${there}.`);
    }
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

/** Some registries let nobody list: then the person has to look. */
async function whatIsThere(client: RegistryClient, repository: string): Promise<string> {
  const tags = await client.listTags(repository).catch(() => undefined);
  if (tags === undefined || tags.length === 0) return 'correct the name; nothing is known there under this one.';
  const more = tags.length > SHOWN_TAGS ? ` and ${tags.length - SHOWN_TAGS} more` : '';
  return `name one of its tags: ${tags.slice(0, SHOWN_TAGS).join(', ')}${more}.`;
}
