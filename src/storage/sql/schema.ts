// The tables as TypeScript sees them. Names are snake_case in SQL (CamelCasePlugin translates); times are milliseconds since
// 1970 in bigint columns. migrations.ts makes the tables: the two must agree, and test/contract fails where they do not.
import type { Kysely } from 'kysely';
import type { BootCapability, BootSessionId } from '../../boot-sessions/boot-session.ts';
import type { BootEventKind, NewBootEvent } from '../../events/boot-event.ts';
import type { ChannelMove } from '../../images/channels/channel.ts';
import type { Digest } from '../../images/digest.ts';
import type { BootImage } from '../../images/boot-image.ts';
import type { Conversion, RefusalCode } from '../../images/conversion/conversion.ts';
import type { HardwareFacts, MachineId, MachineState, RunningImage } from '../../machines/machine.ts';
import type { MacAddress } from '../../protocol/mac-address.ts';
import type { Member, MemberState, Rollout, RolloutId, RolloutState } from '../../rollouts/rollout.ts';
import type { Freeze, Pin } from '../../rollouts/rollout-store.ts';
import type { Json } from './row-values.ts';

/** An open database. `destroy()` closes it. */
export type Database = Kysely<Tables>;

type Labels = Readonly<Record<string, string>>;

export interface Tables {
  readonly schemaMigrations: { readonly version: number; readonly name: string };
  /** Numbers that only grow, also when what they numbered was removed. */
  readonly counters: { readonly name: string; readonly value: number };
  readonly machines: MachineRow;
  readonly machineMacs: { readonly mac: MacAddress; readonly machineId: MachineId };
  readonly events: EventRow;
  readonly bootSessions: BootSessionRow;
  readonly bootSessionTokens: {
    readonly hash: string;
    readonly sessionId: BootSessionId;
    readonly capability: BootCapability;
  };
  readonly bootSessionFetches: {
    readonly sessionId: BootSessionId;
    readonly resource: string;
    readonly fetches: number;
  };
  readonly enrollmentTokens: TokenRow;
  readonly certificates: CertificateRow;
  readonly redemptions: {
    readonly tokenId: string;
    readonly keyFingerprint: string;
    readonly certificateSerial: string;
    readonly redeemedAt: number;
  };
  readonly conversions: ConversionRow;
  readonly registryManifests: RegistryManifestRow;
  readonly registryReferences: RegistryReferenceRow;
  readonly registryTags: { readonly repository: string; readonly tag: string; readonly digest: Digest };
  readonly registryBlobs: { readonly repository: string; readonly digest: Digest; readonly linkedAt: number };
  readonly channelMoves: ChannelMoveRow;
  readonly rollouts: {
    readonly id: RolloutId;
    readonly state: RolloutState;
    readonly createdAt: number;
    readonly version: number;
    readonly document: Json<Rollout>;
  };
  readonly rolloutMembers: RolloutMemberRow;
  readonly rolloutPins: Pin;
  readonly rolloutFreezes: { readonly id: string; readonly endsAt: number; readonly document: Json<Freeze> };
}

export interface MachineRow {
  readonly id: MachineId;
  readonly macs: Json<readonly MacAddress[]>;
  readonly uuid: string | null;
  readonly serial: string | null;
  readonly hostname: string | null;
  readonly architecture: string | null;
  readonly state: MachineState;
  readonly stateReason: string;
  readonly stateSince: number;
  readonly labels: Json<Labels>;
  readonly facts: Json<HardwareFacts>;
  readonly profile: string | null;
  readonly image: string | null;
  readonly address: string | null;
  readonly certificateSerial: string | null;
  readonly configDigest: string | null;
  readonly running: Json<RunningImage> | null;
  readonly installedAt: number | null;
  readonly createdAt: number;
  readonly lastSeenAt: number;
  readonly version: number;
}

/** `event` is the record; the other columns repeat what it is looked up by. */
export interface RolloutMemberRow {
  readonly rolloutId: RolloutId;
  readonly machineId: MachineId;
  readonly place: number;
  readonly state: MemberState;
  readonly document: Json<Member>;
}

export interface EventRow {
  readonly seq: number;
  readonly at: number;
  readonly kind: BootEventKind;
  readonly machineId: MachineId | null;
  readonly mac: MacAddress | null;
  readonly sessionId: BootSessionId | null;
  readonly event: Json<NewBootEvent>;
}

/** `ordinal` numbers the sessions of a machine in the order of their insertion. */
export interface BootSessionRow {
  readonly id: BootSessionId;
  readonly machineId: MachineId;
  readonly ordinal: number;
  readonly mac: MacAddress;
  readonly architecture: string;
  readonly serverAddress: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly scriptServedAt: number | null;
  readonly image: string | null;
  readonly profile: string | null;
}

export interface TokenRow {
  readonly id: string;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly notBefore: number;
  readonly expiresAt: number;
  readonly maxUses: number;
  readonly uses: number;
  readonly revokedAt: number | null;
  readonly note: string | null;
  readonly mac: MacAddress | null;
  readonly uuid: string | null;
  readonly serial: string | null;
  readonly profile: string | null;
  readonly labels: Json<Labels>;
}

export interface CertificateRow {
  readonly serial: string;
  readonly machineId: MachineId;
  readonly keyFingerprint: string;
  readonly pem: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly revokedAt: number | null;
}

/** `code` and `detail` of refused ones; `image` and `manifest` of those that are ready. */
export interface ConversionRow {
  readonly repository: string;
  readonly digest: Digest;
  readonly state: Conversion['state'];
  readonly queuedAt: number;
  readonly changedAt: number;
  readonly attempts: number;
  readonly code: RefusalCode | null;
  readonly detail: string | null;
  readonly image: Json<BootImage> | null;
  readonly manifest: Digest | null;
}

/** `release` and `number` as in ChannelMove; the two `before` columns are both there or both NULL. */
export interface ChannelMoveRow {
  readonly repository: string;
  readonly channel: string;
  readonly number: number;
  readonly kind: ChannelMove['kind'];
  readonly digest: Digest;
  readonly release: number;
  readonly beforeRelease: number | null;
  readonly beforeDigest: Digest | null;
  readonly reference: string;
  readonly by: string;
  readonly note: string;
  readonly at: number;
}

/** `touchedAt`: when it was last put, or lost a tag to another manifest. */
export interface RegistryManifestRow {
  readonly repository: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly artifactType: string | null;
  readonly sizeBytes: number;
  readonly subject: Digest | null;
  readonly annotations: Json<Readonly<Record<string, string>>>;
  readonly createdAt: number;
  readonly touchedAt: number;
}

/** That manifest `digest` names `child` as config, layer or manifest; `position` counts from 0. */
interface RegistryReferenceRow {
  readonly repository: string;
  readonly digest: Digest;
  readonly position: number;
  readonly child: Digest;
}
