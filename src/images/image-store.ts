// PORT. Which images there are, by name. Adapters: storage/sql, storage/memory; both pass test/contract/image-store.
import type { Image } from './image.ts';

export interface ImageStore {
  find(name: string): Promise<Image | undefined>;
  list(): Promise<readonly Image[]>;
  /** Adds the image or replaces the one of that name. */
  put(image: Image): Promise<void>;
  remove(name: string): Promise<boolean>;
}
