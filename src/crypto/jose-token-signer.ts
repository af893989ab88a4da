// Enrollment tokens as JWTs (RFC 7519) signed with Ed25519 (RFC 8037). Adapter of enrollment/token-signer.
import { CompactSign, compactVerify, errors } from 'jose';
import { createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { EnrollmentClaims } from '../enrollment/enrollment-token.ts';
import type { TokenSigner } from '../enrollment/token-signer.ts';
import { parseMacAddress } from '../protocol/mac-address.ts';
import { fingerprintOf } from './signing-authority.ts';

const ALGORITHM = 'EdDSA';
/** RFC 8725 §3.11: a type of its own keeps tokens of other purposes out. */
const TOKEN_TYPE = 'muster-enroll+jwt';
const TOKEN_CHARACTERS_MAX = 4096;

const macSchema = z.string().transform((text, context) => {
  const mac = parseMacAddress(text);
  if (mac !== undefined) return mac;
  context.addIssue({ code: 'custom', message: 'not a MAC address' });
  return z.NEVER;
});

const claimsSchema = z.strictObject({
  jti: z.string().min(1).max(64),
  iss: z.string(),
  aud: z.string(),
  nbf: z.int().nonnegative(),
  exp: z.int().nonnegative(),
  uses: z.int().positive(),
  mac: macSchema.exactOptional(),
  uuid: z.string().exactOptional(),
  serial: z.string().exactOptional(),
  profile: z.string().exactOptional(),
  labels: z.record(z.string(), z.string()).exactOptional(),
});

export class JoseTokenSigner implements TokenSigner {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #keyId: string;

  constructor(privateKey: KeyObject) {
    this.#privateKey = privateKey;
    this.#publicKey = createPublicKey(privateKey);
    this.#keyId = fingerprintOf(this.#publicKey.export({ format: 'der', type: 'spki' })).slice(0, 16);
  }

  sign(claims: EnrollmentClaims): Promise<string> {
    return new CompactSign(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ alg: ALGORITHM, typ: TOKEN_TYPE, kid: this.#keyId })
      .sign(this.#privateKey);
  }

  async verify(token: string): ReturnType<TokenSigner['verify']> {
    if (token.length > TOKEN_CHARACTERS_MAX) return { kind: 'refused', reason: 'token-malformed' };
    let payload: Uint8Array;
    try {
      const verified = await compactVerify(token, this.#publicKey, { algorithms: [ALGORITHM] });
      if (verified.protectedHeader.typ !== TOKEN_TYPE) return { kind: 'refused', reason: 'token-malformed' };
      payload = verified.payload;
    } catch (error) {
      // Whatever reads as a token but does not bear our signature is forged, an unsigned one (alg none) above all.
      return { kind: 'refused', reason: error instanceof errors.JWSInvalid ? 'token-malformed' : 'token-forged' };
    }
    const claims = claimsSchema.safeParse(parseJson(payload));
    return claims.success ? { kind: 'claims', claims: claims.data } : { kind: 'refused', reason: 'token-malformed' };
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
