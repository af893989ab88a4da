// What a boot path leads to. http/routes/boot.ts only carries it out. Pure types.
import type { Digest } from '../images/digest.ts';

/** How a transfer ended: bytes sent, milliseconds, and whether the client took all it asked for. */
export interface ServedReport {
  readonly bytes: number;
  readonly durationMs: number;
  readonly complete: boolean;
}

export type BootResource =
  | {
      readonly kind: 'blob';
      readonly digest: Digest;
      readonly sizeBytes: number;
      readonly contentType: string;
      readonly onServed: (report: ServedReport) => void;
    }
  | { readonly kind: 'text'; readonly body: string; readonly contentType: string }
  | { readonly kind: 'bytes'; readonly body: Uint8Array; readonly contentType: string }
  | { readonly kind: 'refused'; readonly status: 403 | 404 | 410 | 429; readonly reason: string };

export interface BootRequest {
  /** The path token. */
  readonly token: string;
  /** What stands behind it in the path, without leading slashes. */
  readonly name: string;
  /** HEAD counts nothing and mints nothing. */
  readonly method: 'HEAD' | 'GET';
  readonly peerAddress: string;
}
