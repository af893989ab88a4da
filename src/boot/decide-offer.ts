// Which answer, if any, a boot client gets. Pure policy: one row per kind of client, first match wins.
// Rows and quirks carry their source; a new firmware is a new row and a golden capture, never an `if` elsewhere.

import { bytesFromText } from '../protocol/bytes.ts';
import { PxeOption } from '../protocol/dhcp/option-codes.ts';
import type { DhcpOptions } from '../protocol/dhcp/option-list.ts';
import { architectureFacts, loaderArchitecture, type Architecture } from './architecture.ts';
import type { BootClient } from './identify-client.ts';

export interface OfferPolicy {
  /** IPv4 address of the interface that faces the client: options 54 and 66, siaddr and sname. */
  readonly serverAddress: string;
  readonly bootAllowed: boolean;
  /** File name of the loader that each architecture gets; HTTP Boot architectures have entries of their own. */
  readonly loaders: Readonly<Partial<Record<Architecture, string>>>;
  /** Put before a loader's name as it is: '' or a path that ends in a slash. */
  readonly tftpPrefix: string;
  /** As tftpPrefix, an absolute URL. Best with an IP address: a host name needs option 6 from someone. */
  readonly httpLoaderBase: string;
  /** What iPXE runs. */
  readonly scriptUrl: string;
  /** How UEFI PXE is led to its file: by asking on 4011, or straight from the offer. */
  readonly uefiStrategy: '4011' | 'direct';
}

/** The parts of a reply that are decided; the rest follows from the request (build-reply.ts). */
export interface OfferReply {
  readonly messageType: 'offer' | 'ack';
  readonly serverAddress: string;
  readonly vendorClass: 'PXEClient' | 'HTTPClient';
  readonly bootFile: string;
  /** The content of option 43; undefined leaves the option out. */
  readonly vendorOptions: DhcpOptions | undefined;
}

type RowId = 'ipxe-without-http' | 'ipxe' | 'uefi-http' | 'bios-pxe' | 'uefi-pxe-direct' | 'uefi-pxe-4011';

export type OfferDecision =
  | { readonly kind: 'offer'; readonly row: RowId; readonly reply: OfferReply }
  | { readonly kind: 'silence'; readonly reason: 'boot-not-allowed' }
  | { readonly kind: 'no-loader'; readonly architecture: Architecture };

interface Row {
  readonly id: RowId;
  readonly matches: (candidate: Candidate, policy: OfferPolicy) => boolean;
  readonly payload: 'script' | 'tftp-loader' | 'http-loader';
  readonly vendorClass: OfferReply['vendorClass'];
  readonly vendorOptions: DhcpOptions | undefined;
}

/** A client seen as one of the architectures it listed. */
interface Candidate {
  readonly client: BootClient;
  readonly architecture: Architecture;
}

/** Discovery control, bit 3: use the file of this offer, ask no boot server (PXE 2.1, tag 6). */
const USE_FILE_OF_OFFER: DhcpOptions = new Map([[PxeOption.DiscoveryControl, Uint8Array.of(0b1000)]]);

/** EDK2 wants a prompt with it: no seconds to wait, then the text "PXE" (PxeBcDhcp4.c; PXE 2.1, tag 10). */
const USE_FILE_OF_OFFER_WITH_PROMPT: DhcpOptions = new Map([
  ...USE_FILE_OF_OFFER,
  [PxeOption.MenuPrompt, Uint8Array.of(0, ...bytesFromText('PXE'))],
]);

const ROWS: readonly Row[] = [
  // iPXE in a ROM built without HTTP (its option 175 lists what it has): give it a loader of ours, which has.
  {
    id: 'ipxe-without-http',
    matches: ({ client, architecture }, policy) =>
      lacksHttp(client, policy) && loaderOf(architecture, policy) !== undefined,
    payload: 'tftp-loader',
    vendorClass: 'PXEClient',
    vendorOptions: USE_FILE_OF_OFFER,
  },
  // iPXE on any firmware. Offers without 60=PXEClient are ignored, HTTPClient too (ipxe/ipxe#1527), and so are those with
  // siaddr 0 (src/net/udp/dhcp.c). Started by UEFI HTTP Boot it still says PXEClient with architecture 7.
  {
    id: 'ipxe',
    matches: ({ client }) => client.ipxe !== undefined,
    payload: 'script',
    vendorClass: 'PXEClient',
    vendorOptions: USE_FILE_OF_OFFER,
  },
  // UEFI HTTP Boot: 54 and 60=HTTPClient or the offer is not used (UEFI 2.10 §24.7; EDK2 HttpBootDhcp4.c). Never on 4011.
  {
    id: 'uefi-http',
    matches: ({ client, architecture }) => client.vendorClass === 'http' && runs(architecture, 'uefi', 'http'),
    payload: 'http-loader',
    vendorClass: 'HTTPClient',
    vendorOptions: undefined,
  },
  // BIOS: the file of the offer, and again on 4011 for PXE-2.0 ROMs and Supermicro X11 that insist (danderson/netboot#132).
  {
    id: 'bios-pxe',
    matches: ({ client, architecture }) => client.vendorClass !== 'http' && runs(architecture, 'bios', 'tftp'),
    payload: 'tftp-loader',
    vendorClass: 'PXEClient',
    vendorOptions: USE_FILE_OF_OFFER,
  },
  // UEFI with 43: EDK2 uses the offer at once (PxeBcDhcp4.c), some Dell and HP firmware does not (danderson/netboot).
  {
    id: 'uefi-pxe-direct',
    matches: ({ client, architecture }, policy) => isUefiPxe(client, architecture) && policy.uefiStrategy === 'direct',
    payload: 'tftp-loader',
    vendorClass: 'PXEClient',
    vendorOptions: USE_FILE_OF_OFFER_WITH_PROMPT,
  },
  // UEFI without 43: EDK2 asks on 4011, from port 4011 (PxeBcDhcp4.c), and fails with PXE-E16 when nobody answers there.
  {
    id: 'uefi-pxe-4011',
    matches: ({ client, architecture }) => isUefiPxe(client, architecture),
    payload: 'tftp-loader',
    vendorClass: 'PXEClient',
    vendorOptions: undefined,
  },
];

/** Total. `no-loader` names the architecture the client likes best. */
export function decideOffer(client: BootClient, policy: OfferPolicy): OfferDecision {
  // Silence lets the machine go on to its disk at once; a file that is not there makes it fail slowly.
  if (!policy.bootAllowed) return { kind: 'silence', reason: 'boot-not-allowed' };
  for (const architecture of [client.architecture, ...client.alsoRuns]) {
    const candidate = { client, architecture };
    const row = ROWS.find(({ matches }) => matches(candidate, policy));
    const bootFile = row === undefined ? undefined : bootFileOf(row, architecture, policy);
    if (row !== undefined && bootFile !== undefined) {
      return { kind: 'offer', row: row.id, reply: replyOf(row, bootFile, client, policy) };
    }
  }
  return { kind: 'no-loader', architecture: client.architecture };
}

function replyOf(row: Row, bootFile: string, client: BootClient, policy: OfferPolicy): OfferReply {
  const isOffer = client.messageType === 'discover';
  return {
    messageType: isOffer ? 'offer' : 'ack', // RFC 2131 §4.3.1, §4.3.2, §4.3.5; PXE 2.1 has the same pairs on 4011
    serverAddress: policy.serverAddress,
    vendorClass: row.vendorClass,
    bootFile,
    vendorOptions: isOffer ? row.vendorOptions : chosenBootItem(client.bootItem),
  };
}

/** A menu item asked for is named back (PXE 2.1, tag 71); the layer is always 0, its top bit asked for BIS, which nobody ships. */
function chosenBootItem(bootItem: Uint8Array | undefined): DhcpOptions | undefined {
  if (bootItem === undefined) return undefined;
  return new Map([[PxeOption.BootItem, Uint8Array.of(...bootItem.subarray(0, 2), 0, 0)]]);
}

function bootFileOf(row: Row, architecture: Architecture, policy: OfferPolicy): string | undefined {
  if (row.payload === 'script') return policy.scriptUrl;
  const loader = loaderOf(architecture, policy);
  if (loader === undefined) return undefined;
  return (row.payload === 'http-loader' ? policy.httpLoaderBase : policy.tftpPrefix) + loader;
}

function loaderOf(architecture: Architecture, policy: OfferPolicy): string | undefined {
  return policy.loaders[loaderArchitecture(architecture)];
}

function isUefiPxe(client: BootClient, architecture: Architecture): boolean {
  return client.vendorClass !== 'http' && runs(architecture, 'uefi', 'tftp');
}

function runs(architecture: Architecture, firmware: 'bios' | 'uefi', transport: 'tftp' | 'http'): boolean {
  const facts = architectureFacts(architecture);
  return facts.firmware === firmware && facts.transport === transport;
}

/** A script behind https is not judged: a loader of ours without HTTPS would be handed out for ever. */
function lacksHttp(client: BootClient, policy: OfferPolicy): boolean {
  const features = client.ipxe?.features;
  return features !== undefined && !features.has('http') && policy.scriptUrl.startsWith('http:');
}
