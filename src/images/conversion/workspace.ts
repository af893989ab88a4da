// PORT. Room on disk for what a conversion makes before it is worth keeping. Adapter: storage/files/file-workspace.ts; what an
// ended process left there is removed at the next start.
import type { Readable } from 'node:stream';
import type { Digest } from '../digest.ts';

export interface Workspace {
  /** An empty folder of its own. */
  open(): Promise<WorkFolder>;
}

export interface WorkFile {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface WorkFolder {
  /** For programs that write there; on the file system of the blob store. */
  pathOf(name: string): string;
  /** Undefined where it is longer than the limit. Fails as `content` fails. */
  write(name: string, content: Readable, limitBytes: number): Promise<WorkFile | undefined>;
  read(name: string): Readable;
  /** Moves the file into the blob store, whole and synced. The caller has measured it and vouches for the digest. */
  keep(name: string, digest: Digest): Promise<void>;
  /** Digest and size of what a program wrote. `onBytes` gets the bytes read so far. */
  measure(name: string, onBytes: (bytes: number) => void): Promise<WorkFile>;
  /** Removes the folder with all that is in it. */
  discard(): Promise<void>;
}
