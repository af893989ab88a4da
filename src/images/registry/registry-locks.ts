// Keeps pushes and garbage collection apart. Two levels, always taken in this order: a digest (its file in the blob store), then
// the graph (who refers to what), which is held for statements of the registry store only.
import { KeyedQueue } from '../../keyed-queue.ts';
import type { Digest } from '../digest.ts';

const GRAPH = 'graph';

export class RegistryLocks {
  readonly #queue = new KeyedQueue();

  /** Alone with the file of this digest. */
  withDigest<T>(digest: Digest, action: () => Promise<T>): Promise<T> {
    return this.#queue.run(digest, action);
  }

  /** Alone with the links, tags and references; must not ask for a digest inside. */
  withGraph<T>(action: () => Promise<T>): Promise<T> {
    return this.#queue.run(GRAPH, action);
  }
}
