// TFTP packets (RFC 1350 §5, options RFC 2347). Types and numbers only; knows nothing of files, sessions or time.

export const Opcode = { ReadRequest: 1, WriteRequest: 2, Data: 3, Ack: 4, Error: 5, OptionAck: 6 } as const;

/** RFC 1350 appendix, and 8 from RFC 2347. */
export const TftpErrorCode = {
  NotDefined: 0,
  FileNotFound: 1,
  AccessViolation: 2,
  IllegalOperation: 4,
  UnknownTransferId: 5,
  OptionsRefused: 8,
} as const;

/** Longest request, all options included (RFC 2347 §"Packet Formats"); an answer to it is held to the same. */
export const MAXIMUM_REQUEST_BYTES = 512;

/** opcode and block number in front of every DATA payload. */
export const DATA_HEADER_BYTES = 4;

export type TransferMode = 'octet' | 'netascii' | 'mail';

/** Lower-case option name → value as sent. The order is the order on the wire; of an option sent twice the first counts. */
export type TftpOptions = ReadonlyMap<string, string>;

export interface TftpRequest {
  readonly kind: 'read-request' | 'write-request';
  readonly name: string;
  readonly mode: TransferMode;
  readonly options: TftpOptions;
}

export type TftpPacket =
  | TftpRequest
  | { readonly kind: 'data'; readonly block: number; readonly payload: Uint8Array }
  | { readonly kind: 'ack'; readonly block: number }
  | { readonly kind: 'error'; readonly code: number; readonly message: string }
  | { readonly kind: 'option-ack'; readonly options: TftpOptions };
