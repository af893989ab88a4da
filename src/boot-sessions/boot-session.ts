// One attempt of a machine to boot: from its first DISCOVER until it runs. A session has an id that may be shown and three
// tokens that open one thing each; only the tokens' SHA-256 are stored. Pure types and rules.
import type { MacAddress } from '../protocol/mac-address.ts';
import type { MachineId } from '../machines/machine.ts';

export type BootSessionId = string & { readonly __brand: 'BootSessionId' };

/**
 * What a path token opens:
 * script     the loader, the boot script and the enrollment token's initrd: never on a kernel command line
 * artifacts  kernel, initrd and squashfs of the planned image: nothing secret, so it may stand on a kernel command line
 * seed       the four NoCloud files: on the kernel command line, hence few reads, few minutes, and closed once configured
 */
export const BOOT_CAPABILITIES = ['script', 'artifacts', 'seed'] as const;
export type BootCapability = (typeof BOOT_CAPABILITIES)[number];

export interface BootSession {
  readonly id: BootSessionId;
  readonly machineId: MachineId;
  readonly mac: MacAddress;
  /** A name from boot/architecture.ts. */
  readonly architecture: string;
  /** IPv4 address of Muster on the network the machine asked from: every URL of this session names it. */
  readonly serverAddress: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Set when the boot script was handed out: the next DISCOVER of this machine then starts a new session. */
  readonly scriptServedAt?: number;
  /** The image whose artifacts this session may read, fixed when the script was rendered. */
  readonly image?: string;
  readonly profile?: string;
}

/** How often each resource of a session may be fetched. Range requests and retries of firmware count as fetches. */
export const FETCH_LIMITS = {
  loader: 30,
  script: 60,
  'boot-token': 3,
  artifact: 300,
  seed: 12,
} as const;
export type FetchKind = keyof typeof FETCH_LIMITS;
