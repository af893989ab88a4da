// Detached signatures of kernels and initrds for loaders that verify (iPXE's imgverify): made when first asked for, then kept.
import type { Readable } from 'node:stream';
import type { BlobStore } from '../blob-store.ts';
import type { Digest } from '../digest.ts';

/** PORT. Adapter: crypto/image-cms.ts. */
export interface DetachedSigner {
  sign(content: Readable): Promise<Uint8Array>;
}

/** A signature has less than 2 KiB. */
const KEPT = 256;

export class BootFileSignatures {
  readonly #blobs: Pick<BlobStore, 'read'>;
  readonly #signer: DetachedSigner;
  readonly #made = new Map<Digest, Promise<Uint8Array>>();

  constructor(blobs: Pick<BlobStore, 'read'>, signer: DetachedSigner) {
    this.#blobs = blobs;
    this.#signer = signer;
  }

  /** DER. Reads the blob once, however many machines ask at the same time; fails where there is none. */
  of(digest: Digest): Promise<Uint8Array> {
    const present = this.#made.get(digest);
    if (present !== undefined) return present;
    const made = this.#signer.sign(this.#blobs.read(digest)).catch((error: unknown) => {
      this.#made.delete(digest);
      throw error;
    });
    this.#made.set(digest, made);
    const [oldest] = this.#made.keys();
    if (this.#made.size > KEPT && oldest !== undefined) this.#made.delete(oldest);
    return made;
  }
}
