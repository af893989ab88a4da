// PORT. Packs a root file system, which comes as one tar, into a squashfs file. Adapter: platform/mksquashfs-writer.ts.
import type { Readable } from 'node:stream';

export type SquashfsOutcome =
  | { readonly kind: 'written' }
  /** `reason` is what the program said. */
  | { readonly kind: 'failed'; readonly reason: string };

export interface SquashfsRequest {
  readonly tar: Readable;
  /** Where the file shall be; must not be there yet. */
  readonly path: string;
  /**
   * Whole seconds since 1970, up to 2^32-1: the time of the file system and of its root folder. The same tar and time give the
   * same bytes, whenever they are packed and however many processors there are.
   */
  readonly timeSeconds: number;
  /** Permission bits of the root folder. */
  readonly rootMode: number;
  readonly signal: AbortSignal;
}

export interface SquashfsWriter {
  /** Fails as `tar` fails, or with the signal's reason; the program has ended by then. A file may be left over. */
  write(request: SquashfsRequest): Promise<SquashfsOutcome>;
}
