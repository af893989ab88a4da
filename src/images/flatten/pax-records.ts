// Records of a pax extended header (POSIX.1-2001 pax, "pax Extended Header"): `length key=value\n`. Pure; keys and values are
// byte strings, because extended attributes are binary.
import { FlattenRefusal } from './flatten-refusal.ts';

export type PaxRecord = readonly [key: string, value: string];

/** In the order of the file: GNU sparse 0.0 repeats keys. */
export function decodePaxRecords(bytes: Buffer): PaxRecord[] {
  const records: PaxRecord[] = [];
  let at = 0;
  while (at < bytes.length) {
    const space = bytes.indexOf(0x20, at);
    const digits = space === -1 || space - at > 10 ? '' : bytes.toString('latin1', at, space);
    const end = at + (/^[0-9]+$/.test(digits) ? Number(digits) : 0);
    const equals = bytes.indexOf(0x3d, space);
    if (end <= space || end > bytes.length || equals <= space + 1 || equals >= end || bytes[end - 1] !== 0x0a) {
      throw new FlattenRefusal('bad-pax-header', 'A pax header has a record without length, key or end');
    }
    records.push([bytes.toString('latin1', space + 1, equals), bytes.toString('latin1', equals + 1, end - 1)]);
    at = end;
  }
  return records;
}

/** The inverse of decodePaxRecords. */
export function encodePaxRecords(records: readonly PaxRecord[]): Buffer {
  return Buffer.from(records.map(encodeRecord).join(''), 'latin1');
}

function encodeRecord([key, value]: PaxRecord): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  // The length counts its own digits.
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}
