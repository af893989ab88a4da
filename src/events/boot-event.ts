// The closed union of everything that can happen to a machine on its way. A new kind is a new row here, and the compiler
// then names every place that must know it. Pure types.
import type { MacAddress } from '../protocol/mac-address.ts';
import type { MachineId, MachineState } from '../machines/machine.ts';
import type { BootSessionId } from '../boot-sessions/boot-session.ts';
import type { ErrorCode } from '../errors.ts';
import { shortReference } from '../images/image-reference.ts';

/** `image` is the repository, `from` the digest before, where there was one; `digest` of a removal is where it pointed. */
interface ChannelMoved {
  readonly image: string;
  readonly channel: string;
  readonly digest: string;
  readonly from?: string;
  readonly by: string;
  readonly note: string;
}

/** Details by kind. Values are safe to show: never a token, never a key. Sizes in bytes, times in milliseconds. */
interface BootEventDetails {
  'machine-discovered': { readonly architecture: string; readonly address?: string };
  'machine-state': {
    readonly from: MachineState;
    readonly to: MachineState;
    readonly reason: string;
    readonly by: string;
  };
  'dhcp-discover': { readonly client: string; readonly architecture: string; readonly interface: string };
  'dhcp-offer': { readonly row: string; readonly file: string; readonly reason: string };
  'dhcp-pxe-request': { readonly client: string; readonly architecture: string; readonly interface: string };
  'dhcp-pxe-ack': { readonly row: string; readonly file: string; readonly reason: string };
  'dhcp-no-loader': { readonly architecture: string; readonly architectureNumber: number };
  'dhcp-silence': { readonly reason: string };
  'loader-served': {
    readonly name: string;
    readonly transport: 'tftp' | 'http';
    readonly sizeBytes: number;
    readonly durationMs: number;
  };
  'loader-failed': { readonly name: string; readonly transport: 'tftp' | 'http'; readonly reason: string };
  'script-served': { readonly plan: string; readonly profile?: string; readonly reason: string };
  'kernel-served': { readonly image: string; readonly sizeBytes: number; readonly durationMs: number };
  'initrd-served': { readonly image: string; readonly sizeBytes: number; readonly durationMs: number };
  'squashfs-served': { readonly image: string; readonly sizeBytes: number; readonly durationMs: number };
  'boot-token-served': { readonly tokenId: string };
  'boot-refused': { readonly resource: string; readonly reason: string };
  'seed-served': { readonly file: string };
  enrolled: { readonly certificateSerial: string; readonly tokenId: string; readonly notAfter: number };
  'enrollment-refused': { readonly code: ErrorCode; readonly tokenId?: string };
  'certificate-renewed': { readonly certificateSerial: string; readonly notAfter: number };
  'config-served': { readonly digest: string };
  'config-applied': { readonly digest: string; readonly hostname: string; readonly cloudInit: string };
  'config-failed': { readonly digest: string; readonly reason: string };
  'token-created': { readonly tokenId: string; readonly by: string };
  'token-revoked': { readonly tokenId: string; readonly by: string };
  /** `image` as NAME:TAG. */
  'image-stored': { readonly image: string; readonly digest: string };
  /** `image` as NAME@DIGEST; `sizeBytes` of its squashfs. */
  'image-ready': {
    readonly image: string;
    readonly family: string;
    readonly sizeBytes: number;
    readonly durationMs: number;
  };
  'image-refused': { readonly image: string; readonly code: string; readonly detail: string };
  /** `image` as NAME@DIGEST. */
  'image-untrusted': { readonly image: string; readonly channel?: string; readonly reason: string };
  'channel-promoted': ChannelMoved;
  'channel-rolled-back': ChannelMoved;
  /** `image` is the digest of the OS image. */
  'machine-booted': {
    readonly image: string;
    readonly source: 'network' | 'disk';
    readonly slot?: string;
    readonly slotState?: string;
  };
  'machine-installed': Readonly<Record<string, never>>;
  'machine-reinstall': { readonly by: string };
  /** An order that the machine works on; `detail` for refusals and failures. */
  'order-progress': { readonly order: string; readonly phase: string; readonly detail?: string };
  'slot-fallback': { readonly image: string; readonly reason: string };
  /** It was sent to its disk and asks the network again: `seconds` later, for the `times`th time in a row. */
  'disk-boot-failed': { readonly seconds: number; readonly times: number };
  'rollout-created': {
    readonly rollout: string;
    readonly image: string;
    readonly machines: number;
    readonly by: string;
  };
  'rollout-state': {
    readonly rollout: string;
    readonly from: string;
    readonly to: string;
    readonly reason: string;
    readonly by: string;
  };
  /** Wave from 1; `machines` have their turn with it. */
  'rollout-wave': { readonly rollout: string; readonly wave: number; readonly machines: number };
  'rollout-member': { readonly rollout: string; readonly from: string; readonly to: string; readonly reason: string };
  'machine-pinned': { readonly pinned: boolean; readonly note: string; readonly by: string };
  'fleet-frozen': { readonly freeze: string; readonly frozen: boolean; readonly note: string; readonly by: string };
  'channel-removed': ChannelMoved;
  'agent-message': { readonly level: 'info' | 'warn' | 'error'; readonly message: string };
  'server-started': { readonly version: string };
}

export type BootEventKind = keyof BootEventDetails;

/** What a caller records. */
export type NewBootEvent<K extends BootEventKind = BootEventKind> = {
  [Kind in K]: {
    readonly kind: Kind;
    readonly details: BootEventDetails[Kind];
    readonly machineId?: MachineId;
    readonly mac?: MacAddress;
    readonly sessionId?: BootSessionId;
  };
}[K];

/** What is on record: `seq` rises by the order of recording, `at` is milliseconds since 1970. */
export type BootEvent<K extends BootEventKind = BootEventKind> = NewBootEvent<K> & {
  readonly seq: number;
  readonly at: number;
};

/** One line for people, without time and machine. Every kind has its sentence. */
export function describeEvent(event: NewBootEvent): string {
  switch (event.kind) {
    case 'machine-discovered':
      return `first seen (${event.details.architecture})`;
    case 'machine-state':
      return `${event.details.from} → ${event.details.to}: ${event.details.reason} (by ${event.details.by})`;
    case 'dhcp-discover':
      return `DISCOVER from ${event.details.client} (${event.details.architecture}) on ${event.details.interface}`;
    case 'dhcp-offer':
      return `OFFER ${event.details.file} [${event.details.row}]`;
    case 'dhcp-pxe-request':
      return `4011 REQUEST from ${event.details.client} (${event.details.architecture}) on ${event.details.interface}`;
    case 'dhcp-pxe-ack':
      return `4011 ACK ${event.details.file} [${event.details.row}]`;
    case 'dhcp-no-loader':
      return `no loader for arch ${event.details.architectureNumber} (${event.details.architecture})`;
    case 'dhcp-silence':
      return `no answer: ${event.details.reason}`;
    case 'loader-served':
      return `loader ${event.details.name} by ${event.details.transport.toUpperCase()}`;
    case 'loader-failed':
      return `loader ${event.details.name} by ${event.details.transport.toUpperCase()} failed: ${event.details.reason}`;
    case 'script-served':
      return `boot script: ${event.details.plan} (${event.details.reason})`;
    case 'kernel-served':
      return `kernel of ${event.details.image}`;
    case 'initrd-served':
      return `initrd of ${event.details.image}`;
    case 'squashfs-served':
      return `squashfs root of ${event.details.image}`;
    case 'boot-token-served':
      return `enrollment token ${event.details.tokenId} handed to the loader`;
    case 'boot-refused':
      return `${event.details.resource} refused: ${event.details.reason}`;
    case 'seed-served':
      return `NoCloud ${event.details.file}`;
    case 'enrolled':
      return `enrolled, certificate ${event.details.certificateSerial.slice(0, 16)}`;
    case 'enrollment-refused':
      return `enrollment refused: ${event.details.code}`;
    case 'certificate-renewed':
      return `certificate renewed: ${event.details.certificateSerial.slice(0, 16)}`;
    case 'config-served':
      return `config ${event.details.digest.slice(0, 19)} served`;
    case 'config-applied':
      return `config applied: cloud-init ${event.details.cloudInit}, host name ${event.details.hostname}`;
    case 'config-failed':
      return `config failed: ${event.details.reason}`;
    case 'token-created':
      return `token ${event.details.tokenId} made by ${event.details.by}`;
    case 'token-revoked':
      return `token ${event.details.tokenId} revoked by ${event.details.by}`;
    case 'image-stored':
      return `image ${event.details.image} stored as ${event.details.digest.slice(0, 19)}`;
    case 'image-ready':
      return `image ${shortReference(event.details.image)} is ready to boot (${event.details.family})`;
    case 'image-refused':
      return `image ${shortReference(event.details.image)} cannot be booted, ${event.details.code}: ${event.details.detail}`;
    case 'image-untrusted':
      return `image ${event.details.image} is not trusted: ${event.details.reason}`;
    case 'channel-promoted':
      return `${event.details.image}@${event.details.channel} promoted to ${event.details.digest.slice(0, 19)} by ${event.details.by}: ${event.details.note}`;
    case 'channel-rolled-back':
      return `${event.details.image}@${event.details.channel} rolled back to ${event.details.digest.slice(0, 19)} by ${event.details.by}: ${event.details.note}`;
    case 'machine-booted': {
      const { image, source, slot, slotState } = event.details;
      const place = slot === undefined ? source : `${source}, slot ${slot}${slotState === 'trial' ? ', on trial' : ''}`;
      return `runs ${image.slice(0, 19)} from ${place}`;
    }
    case 'machine-installed':
      return 'installed to its disk';
    case 'machine-reinstall':
      return `is to be installed anew (by ${event.details.by})`;
    case 'order-progress':
      return `${event.details.order}: ${event.details.phase}${event.details.detail === undefined ? '' : `: ${event.details.detail}`}`;
    case 'slot-fallback':
      return `fell back from ${event.details.image.slice(0, 19)}: ${event.details.reason}`;
    case 'disk-boot-failed':
      return `came back ${event.details.seconds} s after it was sent to its disk, ${event.details.times} times in a row`;
    case 'rollout-created':
      return `rollout ${event.details.rollout} of ${shortReference(event.details.image)} to ${event.details.machines} machines made by ${event.details.by}`;
    case 'rollout-state':
      return `rollout ${event.details.rollout}: ${event.details.from} → ${event.details.to}: ${event.details.reason} (by ${event.details.by})`;
    case 'rollout-wave':
      return `rollout ${event.details.rollout}: wave ${event.details.wave} begins, ${event.details.machines} machines have their turn`;
    case 'rollout-member':
      return `rollout ${event.details.rollout}: ${event.details.from} → ${event.details.to}: ${event.details.reason}`;
    case 'machine-pinned':
      return `${event.details.pinned ? 'pinned' : 'unpinned'} by ${event.details.by}: ${event.details.note}`;
    case 'fleet-frozen':
      return `freeze ${event.details.freeze} ${event.details.frozen ? 'begun' : 'lifted'} by ${event.details.by}: ${event.details.note}`;
    case 'channel-removed':
      return `${event.details.image}@${event.details.channel}, which pointed to ${event.details.digest.slice(0, 19)}, removed by ${event.details.by}: ${event.details.note}`;
    case 'agent-message':
      return `agent: ${event.details.message}`;
    case 'server-started':
      return `Muster ${event.details.version} started`;
  }
}
