// Which TFTP datagrams on the well-known port are served, refused or ignored, and what a file's name comes to. Pure policy.
import { TftpErrorCode } from '../protocol/tftp/packet.ts';
import type { TftpPacket, TftpRequest } from '../protocol/tftp/packet.ts';

export type TftpRequestDecision =
  | { readonly kind: 'serve'; readonly request: TftpRequest; readonly name: string }
  | { readonly kind: 'refuse'; readonly code: number; readonly message: string }
  | { readonly kind: 'ignore'; readonly reason: 'reserved-source-port' | 'no-source-address' | 'nothing-to-answer' };

/**
 * UDP services that answer whatever reaches them: a forged datagram from such a port would make two servers talk for ever,
 * or aim our answers at a third party. 0 is no port at all.
 */
const RESERVED_SOURCE_PORTS: ReadonlySet<number> = new Set([
  0, 7, 9, 11, 13, 17, 19, 37, 53, 67, 68, 69, 111, 123, 137, 138, 161, 177, 389, 427, 500, 514, 520,
]);

/** Decides on a datagram to the listening port. A refused client gets a short fixed text: no path, no message of the system. */
export function decideTftpRequest(packet: TftpPacket, from: { address: string; port: number }): TftpRequestDecision {
  if (RESERVED_SOURCE_PORTS.has(from.port)) return { kind: 'ignore', reason: 'reserved-source-port' };
  if (from.address === '0.0.0.0' || from.address === '255.255.255.255') {
    return { kind: 'ignore', reason: 'no-source-address' };
  }
  switch (packet.kind) {
    case 'read-request': {
      if (packet.mode !== 'octet') {
        // RFC 1350 §5: netascii would alter a loader, mail is obsolete (RFC 1350 §1).
        return { kind: 'refuse', code: TftpErrorCode.IllegalOperation, message: 'Only octet mode' };
      }
      const name = normaliseName(packet.name);
      if (name === undefined) return { kind: 'refuse', code: TftpErrorCode.FileNotFound, message: 'File not found' };
      return { kind: 'serve', request: packet, name };
    }
    case 'write-request':
      return { kind: 'refuse', code: TftpErrorCode.AccessViolation, message: 'Read only' };
    case 'data':
    case 'ack':
    case 'option-ack':
      // RFC 1350 §4: no transfer has the listening port as its identifier.
      return { kind: 'refuse', code: TftpErrorCode.UnknownTransferId, message: 'Unknown transfer ID' };
    case 'error':
      return { kind: 'ignore', reason: 'nothing-to-answer' };
  }
}

/**
 * Windows loaders write `\`, GRUB and shim a leading or a doubled `/`: all come to `a/b`. Undefined for a name that has nothing
 * left or that climbs (`..`).
 */
export function normaliseName(name: string): string | undefined {
  const segments = name.split(/[\\/]/).filter((segment) => segment !== '' && segment !== '.');
  return segments.length === 0 || segments.includes('..') ? undefined : segments.join('/');
}

/** A name from the wire as it may stand in a log: control and direction characters are escaped, so that no line can be forged. */
export function printableName(name: string): string {
  return name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\]/gu, (character) =>
    character === '\\' ? '\\\\' : `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}
