// What `docker save` writes: manifest.json, a configuration, and layers as plain tars (moby image-spec v1.2). Becomes an OCI
// image; the same archive gives the same manifest.
import { z } from 'zod';
import { OCI_MANIFEST_TYPE } from '../../images/registry/oci-manifest.ts';
import {
  hashed,
  manifestOf,
  notAnImage,
  readWhole,
  type ImageSource,
  type SourceBlob,
  type SourceFile,
  type SourceFiles,
} from './image-source.ts';
import type { ProgressTools } from '../progress-line.ts';

const DOCUMENT_LIMIT_BYTES = 4 * 1024 * 1024;
const manifestSchema = z
  .array(z.object({ Config: z.string(), RepoTags: z.array(z.string()).nullish(), Layers: z.array(z.string()) }))
  .min(1);

export async function openDockerArchive(
  { files, what, tag }: { readonly files: SourceFiles; readonly what: string; readonly tag?: string | undefined },
  tools: ProgressTools & { interrupted: AbortSignal },
): Promise<ImageSource> {
  const find = async (name: string): Promise<SourceFile> => {
    const file = await files.find(name);
    if (file === undefined) throw notAnImage(what, `${name} is missing in it.`);
    return file;
  };
  const text = (await readWhole(await find('manifest.json'), DOCUMENT_LIMIT_BYTES)).toString('utf8');
  const images = manifestSchema.parse(JSON.parse(text));
  const [image, ...others] =
    tag === undefined ? images : images.filter(({ RepoTags }) => RepoTags?.includes(tag) === true);
  if (image === undefined || others.length > 0) {
    const known = images.flatMap(({ RepoTags }) => RepoTags ?? []).join(', ');
    throw notAnImage(what, `name one of its images as ${what}:NAME:TAG (${known}).`);
  }
  const layers: SourceBlob[] = [];
  for (const [index, name] of image.Layers.entries())
    layers.push(await hashed(`layer ${index + 1}/${image.Layers.length}`, await find(name), tools));
  const config = await hashed('config', await find(image.Config), tools);
  const manifest = manifestOf(OCI_MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST_TYPE,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest, size: config.sizeBytes },
    layers: layers.map(({ digest, sizeBytes }) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest,
      size: sizeBytes,
    })),
  });
  const unique = new Map([...layers, config].map((blob) => [blob.digest, blob]));
  return { manifest, blobs: [...unique.values()] };
}
