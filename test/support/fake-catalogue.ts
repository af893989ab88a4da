// Images that are there because a test says so: what planning and serving ask of the catalogue.
import type { BootImage } from '../../src/images/boot-image.ts';
import type { Digest } from '../../src/images/digest.ts';
import type { ImageResolution, ImageView } from '../../src/images/image-catalogue.ts';
import type { ImageReference } from '../../src/images/image-reference.ts';
import { NOON } from './domain-builders.ts';

export class FakeCatalogue {
  readonly #images = new Map<string, BootImage>();

  /** Under its name alone, hence its tag `latest`. */
  put(image: BootImage): void {
    this.#images.set(image.name, image);
  }

  resolve(text: string): Promise<ImageResolution> {
    const image = this.#images.get(text);
    if (image === undefined)
      return Promise.resolve({
        kind: 'none',
        reason: `image ${text} is not in the store`,
        hint: 'muster images import',
      });
    return Promise.resolve({ kind: 'image', image, reference: referenceOf(image) });
  }

  pinned(reference: string): Promise<BootImage | undefined> {
    return Promise.resolve([...this.#images.values()].find((image) => referenceOf(image) === reference));
  }

  isEmpty(): Promise<boolean> {
    return Promise.resolve(this.#images.size === 0);
  }

  digest({ name }: ImageReference): Promise<Digest | undefined> {
    return Promise.resolve(this.#images.get(name)?.digest);
  }

  list(name?: string): Promise<readonly ImageView[]> {
    const images = [...this.#images.values()].filter((image) => name === undefined || image.name === name);
    return Promise.resolve(images.map(viewOf));
  }
}

/** Ready, with the tag `latest`, since noon. */
export function viewOf(image: BootImage): ImageView {
  const { name, digest } = image;
  const reference = referenceOf(image);
  return { reference, name, digest, tags: ['latest'], channels: [], state: 'ready', image, createdAt: NOON };
}

export function referenceOf({ name, digest }: BootImage): string {
  return `${name}@${digest}`;
}
