// Where a layer's bytes come from: the blob of a layer, decompressed by an adapter that the caller injects.
import type { Readable } from 'node:stream';

export type LayerCompression = 'none' | 'gzip' | 'zstd';

export interface LayerSource {
  /** Opens the layer's uncompressed tar from its beginning; called once per pass. Fails with CorruptLayerError where the compressed bytes are wrong. */
  open(): Readable;
  /** Size of the blob as stored, against which the compression ratio is judged. */
  readonly compressedBytes: number;
}

/** The compressed bytes of a layer are wrong: the image's fault, unlike a disk that fails. */
export class CorruptLayerError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CorruptLayerError';
  }
}

const COMPRESSION_BY_MEDIA_TYPE: ReadonlyMap<string, LayerCompression> = new Map([
  ['application/vnd.oci.image.layer.v1.tar', 'none'],
  ['application/vnd.oci.image.layer.v1.tar+gzip', 'gzip'],
  ['application/vnd.oci.image.layer.v1.tar+zstd', 'zstd'],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar', 'none'],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', 'gzip'],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar+zstd', 'zstd'],
  ['application/vnd.docker.image.rootfs.diff.tar', 'none'],
  ['application/vnd.docker.image.rootfs.diff.tar.gzip', 'gzip'],
  ['application/vnd.docker.image.rootfs.diff.tar.zstd', 'zstd'],
]);

/** How a layer of this media type is compressed (OCI image-spec, layer.md); undefined for what is no layer. */
export function layerCompression(mediaType: string): LayerCompression | undefined {
  return COMPRESSION_BY_MEDIA_TYPE.get(mediaType);
}
