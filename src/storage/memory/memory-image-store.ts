// Images in memory: for tests and for trying things out.
import type { Image } from '../../images/image.ts';
import type { ImageStore } from '../../images/image-store.ts';

export class MemoryImageStore implements ImageStore {
  readonly #images = new Map<string, Image>();

  find(name: string): Promise<Image | undefined> {
    return Promise.resolve(this.#images.get(name));
  }

  list(): Promise<readonly Image[]> {
    return Promise.resolve([...this.#images.values()].sort((a, b) => (a.name < b.name ? -1 : 1)));
  }

  put(image: Image): Promise<void> {
    this.#images.set(image.name, image);
    return Promise.resolve();
  }

  remove(name: string): Promise<boolean> {
    return Promise.resolve(this.#images.delete(name));
  }
}
