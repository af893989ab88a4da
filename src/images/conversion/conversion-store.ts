// PORT. Which images are converted, waiting or refused. Adapters: storage/sql, storage/memory; both pass
// test/contract/conversion-store.
import type { Conversion } from './conversion.ts';
import type { Digest } from '../digest.ts';

export interface ConversionStore {
  find(repository: string, digest: Digest): Promise<Conversion | undefined>;
  /** Adds the conversion or puts it in the place of the one with that repository and digest. */
  put(conversion: Conversion): Promise<void>;
  /** The one that was queued first among those that are not through; converting ones are what an ended process left. */
  next(): Promise<Conversion | undefined>;
  /** One that is ready, of the same manifest in any repository. */
  findReady(digest: Digest): Promise<Conversion | undefined>;
  /** By repository, the newest first in each. */
  list(repository?: string): Promise<readonly Conversion[]>;
}
