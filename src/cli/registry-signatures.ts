// Reads and adds signatures of images through the server's registry API, from the machine of the person who signs.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { parseDigest, type Digest } from '../images/digest.ts';
import { PAYLOAD_LIMIT_BYTES } from '../images/trust/signature.ts';
import type { SignatureSource } from '../images/trust/signature-finder.ts';
import {
  buildSignatureManifest,
  OCI_MANIFEST_TYPE,
  parseSignatureManifest,
  SIGNATURE_ARTIFACT_TYPE,
  signatureLayer,
  signatureTag,
} from '../images/trust/signature-manifest.ts';
import type { PulledManifest, RegistryClient } from '../registry-client/registry-client.ts';
import { CliError } from './cli-error.ts';

export class RegistrySignatures implements SignatureSource {
  readonly #client: RegistryClient;

  constructor(client: RegistryClient) {
    this.#client = client;
  }

  async resolveTag(repository: string, tag: string): Promise<Digest | undefined> {
    return (await this.#client.headManifest(repository, tag))?.digest;
  }

  async listSignatureReferrers(repository: string, image: Digest): Promise<readonly Digest[]> {
    const referrers = await this.#client.listReferrers(repository, image, SIGNATURE_ARTIFACT_TYPE);
    return referrers.map(({ digest }) => digest);
  }

  async readManifest(repository: string, digest: Digest): Promise<Uint8Array | undefined> {
    return (await this.#client.pullManifest(repository, digest))?.content;
  }

  async readBlob(repository: string, digest: Digest): Promise<Uint8Array | undefined> {
    const blob = await this.#client.pullBlob(repository, digest, { limitBytes: PAYLOAD_LIMIT_BYTES });
    if (blob === undefined) return undefined;
    const chunks: Uint8Array[] = [];
    for await (const chunk of blob.content) chunks.push(chunk as Uint8Array);
    return Buffer.concat(chunks);
  }

  /**
   * Puts a signature beside those that the image has: under its tag, and as a referrer. Where two people sign at the same moment
   * the tag holds the later one's; the other's is still found as a referrer.
   */
  async add(repository: string, image: PulledManifest, payload: Uint8Array, signature: Uint8Array): Promise<Digest> {
    const tag = signatureTag(image.digest);
    const present = tag === undefined ? undefined : await this.#client.pullManifest(repository, tag);
    const kept = present === undefined ? [] : parseSignatureManifest(present.content);
    if (kept === undefined)
      throw new CliError('conflict', `${repository}:${tag ?? ''} is there and holds something that is no signature.`);
    const layer = signatureLayer(payload, signature, sha256);
    const layers = [...kept.map((signed) => signed.layer), layer];
    const subject = { digest: image.digest, mediaType: image.mediaType, sizeBytes: image.content.length };
    const built = buildSignatureManifest(subject, layers, sha256);
    await this.#push(repository, layer.digest, payload);
    await this.#push(repository, built.configDigest, built.config);
    const digest = digestOf(built.manifest);
    await this.#client.pushManifest(repository, tag ?? digest, {
      mediaType: OCI_MANIFEST_TYPE,
      content: built.manifest,
    });
    return digest;
  }

  async #push(repository: string, digest: Digest, content: Uint8Array): Promise<void> {
    const open = (start: number): Readable => Readable.from([Buffer.from(content.subarray(start))]);
    await this.#client.pushBlob(repository, { digest, sizeBytes: content.length, open });
  }
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

function digestOf(bytes: Uint8Array): Digest {
  const digest = parseDigest(`sha256:${sha256(bytes)}`);
  if (digest === undefined) throw new CliError('internal', 'A SHA-256 has 64 hex digits.');
  return digest;
}
