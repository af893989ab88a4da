// Digests by Node's hashes, behind the DigestBytes port of src/images/digest.ts.
import { createHash, type Hash } from 'node:crypto';
import { AppError } from '../errors.ts';
import { parseDigest, type Digest, type DigestAlgorithm, type DigestBytes } from '../images/digest.ts';

export const digestBytes: DigestBytes = (algorithm, bytes) => endDigest(algorithm, createHash(algorithm).update(bytes));

/** The digest of all that the hash was fed; the hash is used up. */
export function endDigest(algorithm: DigestAlgorithm, hash: Hash): Digest {
  const digest = parseDigest(`${algorithm}:${hash.digest('hex')}`);
  if (digest === undefined) throw new AppError('internal', `The hash is no ${algorithm}.`);
  return digest;
}
