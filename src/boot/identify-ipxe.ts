// Whether iPXE sent a packet, and what its build can do. iPXE says so in options 77 and 175.

import { DecodeError, textFromBytes } from '../protocol/bytes.ts';
import { decodeEncapsulatedOptions } from '../protocol/dhcp/encapsulated-options.ts';
import { OptionCode } from '../protocol/dhcp/option-codes.ts';
import type { DhcpOptions } from '../protocol/dhcp/option-list.ts';

/** Suboptions of 175 that a build sends with value 1 when it was made with the feature (iPXE include/ipxe/features.h). */
const FEATURE_CODES = {
  pxe: 0x10,
  http: 0x13,
  https: 0x14,
  tftp: 0x15,
  dns: 0x17,
  bzimage: 0x18,
  efi: 0x24,
  menu: 0x27,
} as const;

type IpxeFeature = keyof typeof FEATURE_CODES;

export interface IpxeFacts {
  /** Undefined when the packet does not list them: then nothing is known to be missing. */
  readonly features: ReadonlySet<IpxeFeature> | undefined;
}

/** iPXE sends the bare text, not RFC 3004's length-prefixed form; a relay or a rebuilt one may: both count. */
const USER_CLASSES = ['iPXE', '\u0004iPXE'];

/** Undefined when it is not iPXE. */
export function identifyIpxe(options: DhcpOptions): IpxeFacts | undefined {
  const userClass = options.get(OptionCode.UserClass);
  const etherboot = options.get(OptionCode.Etherboot);
  const namesItself = userClass !== undefined && USER_CLASSES.includes(textFromBytes(userClass));
  if (!namesItself && etherboot === undefined) return undefined;
  return { features: etherboot === undefined ? undefined : featuresOf(etherboot) };
}

function featuresOf(etherboot: Uint8Array): ReadonlySet<IpxeFeature> | undefined {
  try {
    const suboptions = decodeEncapsulatedOptions(etherboot);
    const names = Object.keys(FEATURE_CODES).filter((name): name is IpxeFeature => name in FEATURE_CODES);
    return new Set(names.filter((name) => suboptions.get(FEATURE_CODES[name])?.[0] === 1));
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}
