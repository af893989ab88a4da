// Reads signatures out of the server's own registry: who refers to what from its store, the bytes from the blob store.
import type { BlobStore } from '../blob-store.ts';
import type { Digest } from '../digest.ts';
import type { RegistryStore } from '../registry/registry-store.ts';
import { PAYLOAD_LIMIT_BYTES } from './signature.ts';
import type { SignatureSource } from './signature-finder.ts';
import { SIGNATURE_ARTIFACT_TYPE, SIGNATURE_MANIFEST_LIMIT_BYTES } from './signature-manifest.ts';

export class StoredSignatures implements SignatureSource {
  readonly #registry: Pick<RegistryStore, 'resolveTag' | 'findManifest' | 'listReferrers' | 'hasBlob'>;
  readonly #blobs: Pick<BlobStore, 'size' | 'read'>;

  constructor(
    registry: Pick<RegistryStore, 'resolveTag' | 'findManifest' | 'listReferrers' | 'hasBlob'>,
    blobs: Pick<BlobStore, 'size' | 'read'>,
  ) {
    this.#registry = registry;
    this.#blobs = blobs;
  }

  resolveTag(repository: string, tag: string): Promise<Digest | undefined> {
    return this.#registry.resolveTag(repository, tag);
  }

  async listSignatureReferrers(repository: string, image: Digest): Promise<readonly Digest[]> {
    const records = await this.#registry.listReferrers(repository, image, SIGNATURE_ARTIFACT_TYPE);
    return records.map(({ digest }) => digest);
  }

  async readManifest(repository: string, digest: Digest): Promise<Uint8Array | undefined> {
    const record = await this.#registry.findManifest(repository, digest);
    return record === undefined ? undefined : this.#read(digest, SIGNATURE_MANIFEST_LIMIT_BYTES);
  }

  /** Only what this repository has: the store behind it is shared. */
  async readBlob(repository: string, digest: Digest): Promise<Uint8Array | undefined> {
    return (await this.#registry.hasBlob(repository, digest)) ? this.#read(digest, PAYLOAD_LIMIT_BYTES) : undefined;
  }

  async #read(digest: Digest, limitBytes: number): Promise<Uint8Array | undefined> {
    const sizeBytes = await this.#blobs.size(digest);
    if (sizeBytes === undefined || sizeBytes > limitBytes) return undefined;
    const chunks: Buffer[] = [];
    for await (const chunk of this.#blobs.read(digest)) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }
}
