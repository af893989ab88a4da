// Datagram → TftpPacket (RFC 1350 §5, RFC 2347). Pure and total: a packet or a DecodeError, whatever the bytes are.
import { DecodeError } from '../bytes.ts';
import { MAXIMUM_REQUEST_BYTES, Opcode } from './packet.ts';
import type { TftpOptions, TftpPacket, TransferMode } from './packet.ts';

/** Decodes one datagram. Throws DecodeError{field, offset}. The payload of DATA is a view into the datagram, not a copy. */
export function decodePacket(datagram: Uint8Array): TftpPacket {
  const opcode = readUint16(datagram, 0, 'opcode');
  switch (opcode) {
    case Opcode.ReadRequest:
      return decodeRequest('read-request', datagram);
    case Opcode.WriteRequest:
      return decodeRequest('write-request', datagram);
    case Opcode.Data:
      return { kind: 'data', block: readUint16(datagram, 2, 'block'), payload: datagram.subarray(4) };
    case Opcode.Ack:
      return { kind: 'ack', block: readUint16(datagram, 2, 'block') };
    case Opcode.Error:
      return decodeError(datagram);
    case Opcode.OptionAck:
      refuseOversize(datagram);
      return { kind: 'option-ack', options: decodeOptions(datagram, 2) };
    default:
      throw new DecodeError('opcode', 0, `${opcode} is not a TFTP opcode`);
  }
}

function decodeRequest(kind: 'read-request' | 'write-request', datagram: Uint8Array): TftpPacket {
  refuseOversize(datagram);
  const name = readText(datagram, 2, 'name');
  if (name.text === '') throw new DecodeError('name', 2, 'empty');
  const mode = readText(datagram, name.next, 'mode');
  return {
    kind,
    name: name.text,
    mode: parseMode(mode.text, name.next),
    options: decodeOptions(datagram, mode.next),
  };
}

function decodeError(datagram: Uint8Array): TftpPacket {
  const code = readUint16(datagram, 2, 'code');
  // Some ROMs leave the message, or the NUL behind it, out.
  const end = datagram.indexOf(0, 4);
  return { kind: 'error', code, message: decodeText(datagram.subarray(4, end === -1 ? undefined : end)) };
}

function decodeOptions(datagram: Uint8Array, start: number): TftpOptions {
  const options = new Map<string, string>();
  let position = start;
  while (position < datagram.length) {
    // Some ROMs pad the request with NULs: an empty name is only good when nothing but NULs follows.
    if (datagram[position] === 0) {
      if (datagram.subarray(position).every((byte) => byte === 0)) break;
      throw new DecodeError('option name', position, 'empty');
    }
    const name = readText(datagram, position, 'option name');
    const value = readText(datagram, name.next, 'option value');
    // RFC 2347: option names are case-insensitive, and each may come once only.
    const key = name.text.toLowerCase();
    if (!options.has(key)) options.set(key, value.text);
    position = value.next;
  }
  return options;
}

function parseMode(text: string, offset: number): TransferMode {
  const mode = text.toLowerCase();
  if (mode === 'octet' || mode === 'netascii' || mode === 'mail') return mode;
  throw new DecodeError('mode', offset, 'unknown');
}

function refuseOversize(datagram: Uint8Array): void {
  if (datagram.length > MAXIMUM_REQUEST_BYTES) {
    throw new DecodeError('packet', MAXIMUM_REQUEST_BYTES, `longer than ${MAXIMUM_REQUEST_BYTES} bytes`);
  }
}

function readText(datagram: Uint8Array, start: number, field: string): { text: string; next: number } {
  const end = datagram.indexOf(0, start);
  if (end === -1) throw new DecodeError(field, start, 'has no end');
  return { text: decodeText(datagram.subarray(start, end)), next: end + 1 };
}

// RFC 1350 says netascii; names in UTF-8 occur, and ASCII is a part of it.
function decodeText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function readUint16(datagram: Uint8Array, offset: number, field: string): number {
  const high = datagram[offset];
  const low = datagram[offset + 1];
  if (high === undefined || low === undefined) throw new DecodeError(field, offset);
  return (high << 8) | low;
}
