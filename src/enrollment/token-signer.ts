// PORT. Signs and checks enrollment tokens. Adapter: crypto/jose-token-signer.ts (Ed25519, RFC 8037).
import type { EnrollmentClaims } from './enrollment-token.ts';

export interface TokenSigner {
  sign(claims: EnrollmentClaims): Promise<string>;
  /** Checks signature and form alone, not times nor bonds: those are checkClaims' rules. */
  verify(
    token: string,
  ): Promise<
    | { readonly kind: 'claims'; readonly claims: EnrollmentClaims }
    | { readonly kind: 'refused'; readonly reason: 'token-malformed' | 'token-forged' }
  >;
}
