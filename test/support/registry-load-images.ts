// Small container images that share layers, each with something of its own; some of them with kernel and initrd, so that they
// can be booted.
import { randomBytes } from 'node:crypto';
import { aDracutInitrd } from './initrd-builders.ts';
import { aContainerImage, aLayer, type ContainerImage, type Content } from './oci-layout.ts';
import type { SeededRandom } from './seeded-random.ts';

type Layer = Awaited<ReturnType<typeof aLayer>>;

export interface LoadImage extends ContainerImage {
  readonly bootable: boolean;
}

const SHARED_LAYERS = 6;
const LAYER_BYTES = 400_000;

export class LoadImages {
  readonly #shared: readonly Layer[];
  readonly #boot: Layer;
  #count = 0;

  private constructor(shared: readonly Layer[], boot: Layer) {
    this.#shared = shared;
    this.#boot = boot;
  }

  static async create(): Promise<LoadImages> {
    const shared = await Promise.all(
      Array.from({ length: SHARED_LAYERS }, (_, index) =>
        aLayer({ [`usr/shared-${index}`]: randomBytes(LAYER_BYTES) }),
      ),
    );
    const boot = await aLayer({
      'boot/vmlinuz-6.1.0': Buffer.concat([Buffer.from('MZ'), randomBytes(100_000)]),
      'boot/initrd.img-6.1.0': aDracutInitrd(),
      'etc/os-release': 'ID=load\nVERSION_ID=1\nPRETTY_NAME="Load"\n',
    });
    return new LoadImages(shared, boot);
  }

  /** Two layers that others have as well, and one that nobody has. Which, and how large, is up to `random`; the bytes are not. */
  async next(random: SeededRandom, { bootable }: { readonly bootable: boolean }): Promise<LoadImage> {
    this.#count += 1;
    const own = await aLayer({ 'etc/own': `${this.#count}\n`, 'usr/own': randomBytes(1 + random.below(LAYER_BYTES)) });
    const first = random.below(SHARED_LAYERS);
    const second = (first + 1 + random.below(SHARED_LAYERS - 1)) % SHARED_LAYERS;
    const shared = [first, second].flatMap((index) => this.#shared[index] ?? []);
    return { ...aContainerImage([...(bootable ? [this.#boot] : []), ...shared, own]), bootable };
  }
}

/** In the order in which they are pushed. */
export function blobsOf({ config, layers }: ContainerImage): readonly Content[] {
  return [...layers, config];
}
