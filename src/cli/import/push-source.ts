// Brings an image into Muster's registry: blobs first, each skipped where it is there, then the manifest under its tag.
import type { RegistryClient } from '../../registry-client/registry-client.ts';
import { ProgressLine, type ProgressTools } from '../progress-line.ts';
import type { ImageSource } from './image-source.ts';

/** Run again after a break it goes on where it was: what arrived whole is not sent again. */
export async function pushSource(
  source: ImageSource,
  target: { readonly name: string; readonly tag: string },
  client: RegistryClient,
  tools: ProgressTools,
): Promise<void> {
  for (const blob of source.blobs) {
    const { label, digest, sizeBytes } = blob;
    const line = new ProgressLine(`send ${label}`, sizeBytes, tools);
    const onProgress = (bytes: number): void => {
      line.show(bytes);
    };
    const outcome = await client.pushBlob(target.name, {
      digest,
      sizeBytes,
      open: (start) => blob.open(start),
      onProgress,
    });
    if (outcome === 'pushed') {
      line.show(sizeBytes);
      line.end();
    } else line.skip('is there already');
  }
  const { mediaType, content } = source.manifest;
  await client.pushManifest(target.name, target.tag, { mediaType, content });
}
