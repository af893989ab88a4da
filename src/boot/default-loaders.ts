// Which loader each kind of firmware starts with. Pure data; the store says which of them it has.
import type { Architecture } from './architecture.ts';

const LOADERS: Readonly<Partial<Record<Architecture, string>>> = {
  // The card's own UNDI driver: works wherever the ROM got as far as asking (ipxe.org/appnote/buildtargets).
  'x86-bios': 'undionly.kpxe',
  // The firmware's own network driver: it just worked, and iPXE may lack one for this card (ipxe/ipxe#923, #1562).
  'x64-uefi': 'snponly.efi',
  // After HTTP Boot some firmware closes its network driver; a loader with drivers of its own does not care.
  'x64-uefi-http': 'ipxe.efi',
};

/** The loaders that can be served now. An architecture that is missing gets no answer, and an event says so. */
export function availableLoaders(stored: ReadonlySet<string>): Readonly<Partial<Record<Architecture, string>>> {
  return Object.fromEntries(Object.entries(LOADERS).filter(([, name]) => stored.has(name)));
}
