// MAC addresses as text: one canonical form (lower case, colons) in the whole program, made here and nowhere else.

/** Six bytes as `52:54:00:0a:0b:0c`. */
export type MacAddress = string & { readonly __brand: 'MacAddress' };

const WRITTEN_FORMS = [
  /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/, // Linux, DHCP logs
  /^[0-9a-f]{2}(?:-[0-9a-f]{2}){5}$/, // IEEE 802, Windows, PXELINUX file names
  /^[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}$/, // Cisco
  /^[0-9a-f]{12}$/, // bar codes, Redfish
];

/** Accepts colons, dashes, dots or none, in any case; undefined for anything else. */
export function parseMacAddress(text: string): MacAddress | undefined {
  const lower = text.toLowerCase();
  if (!WRITTEN_FORMS.some((form) => form.test(lower))) return undefined;
  return canonical(lower.replaceAll(/[^0-9a-f]/g, ''));
}

/** Undefined unless there are exactly six bytes. */
export function macAddressFromBytes(bytes: Uint8Array): MacAddress | undefined {
  if (bytes.length !== 6) return undefined;
  return canonical(Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(''));
}

function canonical(twelveHexDigits: string): MacAddress {
  return twelveHexDigits.replaceAll(/(..)(?!$)/g, '$1:') as MacAddress;
}
