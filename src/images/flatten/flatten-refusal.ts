// Why an image cannot be flattened: a closed list of reasons, each the image's own fault. Codes are API.

export type FlattenRefusalReason =
  /** A name, hard link or whiteout climbs by `..`. */
  | 'path-escape'
  /** An entry's name begins with a slash. */
  | 'absolute-name'
  /** An entry, a hard link or a whiteout goes through a symbolic link that climbs out of the root. */
  | 'symlink-escape'
  | 'whiteout-escape'
  | 'bad-whiteout'
  /** NUL or a line feed in a name or a link target. */
  | 'forbidden-character'
  | 'empty-name'
  /** More than 255 bytes in a component or 4095 in a path (Linux NAME_MAX, PATH_MAX). */
  | 'name-too-long'
  | 'parent-not-a-directory'
  | 'symlink-loop'
  | 'dangling-hard-link'
  | 'hard-link-to-directory'
  | 'bad-header'
  | 'bad-pax-header'
  | 'bad-sparse-map'
  | 'negative-size'
  | 'unsupported-entry'
  | 'truncated'
  | 'trailing-data'
  /** The compressed layer does not decompress. */
  | 'corrupt-layer'
  | 'file-too-large'
  | 'layer-too-large'
  | 'image-too-large'
  | 'compression-ratio'
  | 'too-many-entries'
  | 'metadata-too-large';

/** Thrown within flatten/ alone; scanLayers turns it into a value. */
export class FlattenRefusal extends Error {
  readonly reason: FlattenRefusalReason;

  constructor(reason: FlattenRefusalReason, detail: string) {
    super(detail);
    this.name = 'FlattenRefusal';
    this.reason = reason;
  }
}

/** A name off the wire as a message may show it: quoted, escaped, at most 200 characters. */
export function quoteName(byteString: string): string {
  const text = Buffer.from(byteString.slice(0, 200), 'latin1').toString('utf8');
  return JSON.stringify(text.length < byteString.length ? `${text}…` : text);
}
