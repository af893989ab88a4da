// Signatures of images as cosign makes them: a small JSON payload ("simple signing") that names the image's digest and
// repository, signed with a key pair. Pure over bytes; the keys do the arithmetic (crypto/image-keys.ts).
//
// Forms: containers/image, docs/containers-signature.5.md "signature data format"; cosign, specs/SIGNATURE_SPEC.md.
import { z } from 'zod';
import type { Digest } from '../digest.ts';

const SIGNATURE_KIND = 'cosign container image signature';
/** A payload has about 250 bytes; cosign adds what a person annotates. */
export const PAYLOAD_LIMIT_BYTES = 64 * 1024;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** A DER signature of P-256 has at most 72 bytes, one of RSA-4096 512. */
const SIGNATURE_LIMIT = 1024;

/** A public key that somebody trusts. */
export interface SigningKey {
  /** As in the settings: the name of its file without the ending. */
  readonly name: string;
  /** Whether this key made this signature (DER, ECDSA with SHA-256) of the payload. Never throws. */
  verifies(payload: Uint8Array, signature: Uint8Array): boolean;
}

/** A signature as it lies in a registry: the payload's bytes, and the base64 of the annotation beside it. */
export interface StoredSignature {
  readonly payload: Uint8Array;
  readonly signature: string;
}

export type SignatureVerdict =
  { readonly kind: 'valid'; readonly key: string } | { readonly kind: 'invalid'; readonly reason: string };

const payloadSchema = z.object({
  critical: z.object({
    identity: z.object({ 'docker-reference': z.string() }),
    image: z.object({ 'docker-manifest-digest': z.string() }),
    type: z.string(),
  }),
});

/** The payload for an image; `reference` is registry and repository without tag: `muster.example.org:8443/fleet/os`. */
export function renderSignaturePayload(image: { readonly reference: string; readonly digest: Digest }): Uint8Array {
  return Buffer.from(
    JSON.stringify({
      critical: {
        identity: { 'docker-reference': image.reference },
        image: { 'docker-manifest-digest': image.digest },
        type: SIGNATURE_KIND,
      },
      optional: null,
    }),
  );
}

/**
 * Which of the keys signed this digest of this repository, or why the signature does not count. The registry's host may differ:
 * images travel. Bytes that no key has signed are not looked into.
 */
export function verifySignature(
  { payload, signature }: StoredSignature,
  keys: readonly SigningKey[],
  expected: { readonly repository: string; readonly digest: Digest },
): SignatureVerdict {
  const bytes = decodeSignature(signature);
  if (bytes === undefined) return invalid('the signature is not base64');
  if (payload.length > PAYLOAD_LIMIT_BYTES) return invalid('the payload is too large');
  const key = keys.find((candidate) => candidate.verifies(payload, bytes));
  if (key === undefined) return invalid(keys.length === 0 ? 'no key is known' : 'it was made with another key');
  const parsed = parsePayload(payload);
  if (parsed === undefined) return invalid(`the payload that ${key.name} signed is malformed`);
  const { identity, image, type } = parsed.critical;
  if (type !== SIGNATURE_KIND) return invalid(`${key.name} signed something that is no image`);
  if (image['docker-manifest-digest'] !== expected.digest)
    return invalid(`${key.name} signed another digest (${printable(image['docker-manifest-digest'])})`);
  if (repositoryOf(identity['docker-reference']) !== expected.repository)
    return invalid(
      `${key.name} signed it for ${printable(identity['docker-reference'])}, not for ${expected.repository}`,
    );
  return { kind: 'valid', key: key.name };
}

/** The repository of a docker reference, without registry, tag and digest: `ghcr.io/fleet/os:1` is `fleet/os`. */
function repositoryOf(reference: string): string {
  const [name = ''] = reference.split('@');
  const untagged = name.replace(/:[^/:]*$/, '');
  const [first = '', ...rest] = untagged.split('/');
  // A first part with a dot or a port, or `localhost`, is a registry (distribution/reference, "domain").
  return rest.length > 0 && (/[.:]/.test(first) || first === 'localhost') ? rest.join('/') : untagged;
}

function decodeSignature(text: string): Uint8Array | undefined {
  return text !== '' && text.length <= SIGNATURE_LIMIT && BASE64.test(text) ? Buffer.from(text, 'base64') : undefined;
}

function parsePayload(payload: Uint8Array): z.output<typeof payloadSchema> | undefined {
  try {
    const parsed = payloadSchema.safeParse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload)));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** What comes from a payload may hold anything. */
function printable(text: string): string {
  return text.replaceAll(/[^\x21-\x7e]/g, '_').slice(0, 100);
}

function invalid(reason: string): SignatureVerdict {
  return { kind: 'invalid', reason };
}
