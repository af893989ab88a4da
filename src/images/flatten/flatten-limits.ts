// What one image may cost, with defaults that a whole distribution's root fits in several times over.

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const GIBIBYTE = 1024 * MEBIBYTE;

export interface FlattenLimits {
  /** Headers of all layers, and directories that only paths imply. */
  readonly entries: number;
  /**
   * Names, link targets, extended attributes, directories and captured contents over all layers, with what memory takes for them
   * besides; and every symbolic link that is followed.
   */
  readonly metadataBytes: number;
  /** One file at its full size, holes included. */
  readonly fileBytes: number;
  /** One layer after decompression. */
  readonly layerBytes: number;
  /** All layers after decompression, holes of sparse files included. */
  readonly imageBytes: number;
  /** Uncompressed over compressed size, judged once a layer passes `ratioFreeBytes`. */
  readonly compressionRatio: number;
  readonly ratioFreeBytes: number;
}

export const DEFAULT_FLATTEN_LIMITS: FlattenLimits = {
  entries: 500_000,
  metadataBytes: 64 * MEBIBYTE,
  fileBytes: 16 * GIBIBYTE,
  layerBytes: 32 * GIBIBYTE,
  imageBytes: 64 * GIBIBYTE,
  compressionRatio: 200,
  ratioFreeBytes: 64 * MEBIBYTE,
};

/** A pax header or a GNU long name: the limit of Go's archive/tar, by which container tools live. */
export const MAX_TAR_METADATA_BYTES = MEBIBYTE;

/** A file whose contents are kept while scanning (`os-release` and its like). */
export const MAX_CAPTURED_BYTES = 64 * KIBIBYTE;
