// The one failure type of the program and the one table of its codes. Codes are API: documented in docs/errors.md, never reused.
// Expected outcomes (a token that was already used, a packet that is not ours) are values, not errors.

/** Every code that a person or a program may meet, with what it means. */
export const ERROR_CODES = {
  'invalid-settings': 'A setting has a wrong key or value; the message names key, value, reason and fix.',
  'invalid-profile': 'A profile file is wrong; the message names file, key and reason.',
  'invalid-cloud-config': 'A cloud-config file is wrong; the message names file, line and column.',
  'invalid-request': 'A request does not have the documented form.',
  'missing-interface': 'A network interface named in the settings does not exist or has no IPv4 address.',
  'port-taken': 'A port that Muster needs is held by another program.',
  'permission-denied': 'The process may not do what it needs (bind a low port, write its data folder).',
  'missing-loader': 'A boot loader that an answer needs is not in the store.',
  'missing-program': 'A program that Muster calls is not installed; the message names its package.',
  unauthorised: 'No valid credential came with the request.',
  forbidden: 'The credential does not allow this.',
  'not-found': 'There is no such thing.',
  conflict: 'The thing is not in a state that allows this.',
  'payload-too-large': 'The body is larger than the limit.',
  'too-many-requests': 'A limit on the number of requests was reached.',
  'digest-mismatch': 'The bytes do not have the digest that was promised.',
  'token-malformed': 'The enrollment token is not a token at all.',
  'token-forged': 'The enrollment token was not signed by this server.',
  'token-expired': 'The enrollment token is past its end, or not yet valid.',
  'token-wrong-audience': 'The enrollment token was made for another server or purpose.',
  'token-wrong-machine': 'The enrollment token is bound to another machine.',
  'token-used': 'The enrollment token has no uses left.',
  'token-revoked': 'The enrollment token was revoked.',
  'token-unknown': 'The enrollment token is well signed but not on record.',
  'csr-invalid': 'The certificate signing request is malformed, not self-signed or of a kind that is not accepted.',
  'machine-not-approved': 'The machine has not been approved yet.',
  'machine-retired': 'The machine was retired and may not join.',
  'storage-failure': 'The data folder or the database could not be read or written.',
  internal: 'A defect in Muster; the log has the details.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** A failure with a documented code and a message that a person can act on. */
export class AppError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AppError';
    this.code = code;
  }
}
