// The admin token: 256 random bits that open the whole API. It is compared by digest, so that neither the time taken nor
// the length of a guess tells anything.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** What a program or person must show; 43 characters of base64url. */
export function createAdminToken(): string {
  return randomBytes(32).toString('base64url');
}

export class AdminToken {
  readonly #digest: Buffer;

  constructor(token: string) {
    this.#digest = sha256(token);
  }

  /** Whether this is the token; in constant time. */
  matches(candidate: string): boolean {
    return timingSafeEqual(this.#digest, sha256(candidate));
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}
