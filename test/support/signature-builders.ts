// Signing keys as the openssl command line makes and uses them, and a registry in memory that holds signatures.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parseDigest, type Digest } from '../../src/images/digest.ts';
import type { SignatureSource } from '../../src/images/trust/signature-finder.ts';
import { OCI_MANIFEST_TYPE } from '../../src/images/trust/signature-manifest.ts';
import { capture, type Scratch } from './openssl.ts';

export const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');

export function digestOf(bytes: Uint8Array | string): Digest {
  return parseDigest(`sha256:${sha256(bytes)}`)!;
}

/** Makes `NAME.key` (PKCS #8) and `NAME.pub`; gives both paths. */
export async function opensslKeyPair(scratch: Scratch, name: string, curve = 'P-256') {
  const key = scratch.file(`${name}.key`);
  const pub = scratch.file(`${name}.pub`);
  await capture('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`, '-out', key]);
  await capture('openssl', ['pkey', '-in', key, '-pubout', '-out', pub]);
  return { key, pub };
}

/** A payload as cosign 2 writes it, with what a person annotated. */
export function cosignPayload(reference: string, digest: string, type = 'cosign container image signature'): Buffer {
  return Buffer.from(
    `{"critical":{"identity":{"docker-reference":"${reference}"},"image":{"docker-manifest-digest":"${digest}"},"type":"${type}"},"optional":{"creator":"ci"}}`,
  );
}

/** Base64 of the DER signature that `openssl dgst -sha256 -sign` makes. */
export async function opensslSign(scratch: Scratch, key: string, payload: Uint8Array): Promise<string> {
  const file = await scratch.write('payload', payload);
  await capture('openssl', ['dgst', '-sha256', '-sign', key, '-out', scratch.file('signature'), file]);
  return (await readFile(scratch.file('signature'))).toString('base64');
}

/** A signature manifest as cosign writes it: no artifactType, no subject. */
export function cosignManifest(layers: readonly { payload: Buffer; signature: string }[], rest: object = {}): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST_TYPE,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', size: 2, digest: digestOf('{}') },
      layers: layers.map(({ payload, signature }) => ({
        mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
        size: payload.length,
        digest: digestOf(payload),
        annotations: { 'dev.cosignproject.cosign/signature': signature },
      })),
      ...rest,
    }),
  );
}

/** One repository in memory. */
export class FakeSignatureSource implements SignatureSource {
  readonly tags = new Map<string, Digest>();
  readonly referrers = new Map<Digest, Digest[]>();
  readonly contents = new Map<Digest, Uint8Array>();
  asked = 0;

  put(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    this.contents.set(digest, bytes);
    return digest;
  }

  tag(tag: string, manifest: Uint8Array): void {
    this.tags.set(tag, this.put(manifest));
  }

  refer(image: Digest, manifest: Uint8Array): void {
    this.referrers.set(image, [...(this.referrers.get(image) ?? []), this.put(manifest)]);
  }

  resolveTag(_repository: string, tag: string): Promise<Digest | undefined> {
    this.asked += 1;
    return Promise.resolve(this.tags.get(tag));
  }

  listSignatureReferrers(_repository: string, image: Digest): Promise<readonly Digest[]> {
    return Promise.resolve(this.referrers.get(image) ?? []);
  }

  readManifest(_repository: string, digest: Digest): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.contents.get(digest));
  }

  readBlob(_repository: string, digest: Digest): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.contents.get(digest));
  }
}
