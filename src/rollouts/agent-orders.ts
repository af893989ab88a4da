// What a machine is told to do, as the lines of text that its agent reads: install itself, take an image into its other slot, or
// boot again. Decides nothing of rollouts; the member's state does.
import { Buffer } from 'node:buffer';
import type { BootImage } from '../images/boot-image.ts';
import type { BlobStore } from '../images/blob-store.ts';
import { parseBootManifest } from '../images/conversion/boot-manifest.ts';
import type { ConversionStore } from '../images/conversion/conversion-store.ts';
import { parseImageReference } from '../images/image-reference.ts';
import type { Digest } from '../images/digest.ts';
import { readBlob } from '../images/registry/read-blob.ts';
import type { Orders } from '../machines/agent-service.ts';
import type { Machine } from '../machines/machine.ts';
import type { Profile } from '../machines/profile.ts';
import type { RolloutId } from './rollout.ts';

/** What a rollout wants of one machine now. */
export interface RolloutOrder {
  readonly rollout: RolloutId;
  readonly repository: string;
  readonly image: Digest;
  /** The operator's document and the base64 of its signature. */
  readonly signed?: { readonly document: string; readonly signature: string };
  /** When machines may restart; absent: at any time. Seconds since 1970. */
  readonly notBefore?: number;
  readonly notAfter?: number;
}

export interface ReleaseSignature {
  readonly payload: Uint8Array;
  /** Base64. */
  readonly signature: string;
}

export interface AgentOrderParts {
  /** Cheap: asked at every heartbeat. */
  readonly rolloutOrder: (machine: Machine) => RolloutOrder | undefined;
  readonly profileOf: (machine: Machine) => Profile | undefined;
  readonly conversions: Pick<ConversionStore, 'find'>;
  readonly blobs: Pick<BlobStore, 'read'>;
  /** Those that a release key made of the boot manifest. */
  readonly releaseSignatures: (repository: string, boot: Digest) => Promise<readonly ReleaseSignature[]>;
  readonly settings: {
    readonly trialSeconds: number;
    readonly rateBytesPerSecond: number;
    readonly allowUnsigned: boolean;
    /** PEM texts. */
    readonly releaseKeys: readonly string[];
    readonly operatorKeys: readonly string[];
    readonly artifactsUrl: string;
    readonly httpPort: () => number;
  };
}

/** How often a slot is tried before the loader falls back. */
const TRIES = 3;
const SIGNATURE_LIMIT = 4;
const GIBIBYTE = 1024 ** 3;

type Line = readonly [key: string, value: string | number];
type Decided =
  | {
      readonly id: string;
      readonly kind: 'install';
      readonly repository: string;
      readonly image: Digest;
      readonly install: InstallRule;
    }
  | { readonly id: string; readonly kind: 'upgrade' | 'reboot'; readonly order: RolloutOrder };
type InstallRule = NonNullable<Profile['install']>;

export class AgentOrders implements Orders {
  readonly #parts: AgentOrderParts;

  constructor(parts: AgentOrderParts) {
    this.#parts = parts;
  }

  idFor(machine: Machine): string | undefined {
    return this.#decide(machine)?.id;
  }

  async render(machine: Machine, serverHost: string): Promise<string | undefined> {
    const decided = this.#decide(machine);
    if (decided === undefined) return undefined;
    const { id, kind } = decided;
    const head: readonly Line[] = [
      ['id', id],
      ['kind', kind],
    ];
    switch (decided.kind) {
      case 'reboot':
        return lines([...head, ...imageLines(decided.order), ...timeLines(decided.order)]);
      case 'upgrade': {
        const { order } = decided;
        const parts = await this.#partLines(machine, order, serverHost);
        return parts && lines([...head, ...imageLines(order), ...parts, ...documentLines(order), ...timeLines(order)]);
      }
      case 'install': {
        const parts = await this.#partLines(machine, decided, serverHost);
        return parts && lines([...head, ...imageLines(decided), ...parts, ...this.#installLines(decided.install)]);
      }
    }
  }

  /** An installation comes first: a machine that has no disk yet cannot take an upgrade to it. */
  #decide(machine: Machine): Decided | undefined {
    const { running, installedAt } = machine;
    const isUp = machine.state === 'active' || machine.state === 'configured';
    if (!isUp || running === undefined) return undefined;
    const { install } = this.#parts.profileOf(machine) ?? {};
    if (install !== undefined && installedAt === undefined && running.source === 'network') {
      const reference = machine.image === undefined ? undefined : parseImageReference(machine.image);
      if (reference?.kind !== 'digest' || reference.digest !== running.image) return undefined;
      const { name: repository, digest: image } = reference;
      return { id: `install-${image.slice(7, 19)}`, kind: 'install', repository, image, install };
    }
    const order = this.#parts.rolloutOrder(machine);
    return order && { id: order.rollout, kind: running.source === 'disk' ? 'upgrade' : 'reboot', order };
  }

  /** Undefined where the image is gone: the order is then no order. */
  async #partLines(
    machine: Machine,
    { repository, image: digest }: { readonly repository: string; readonly image: Digest },
    serverHost: string,
  ): Promise<readonly Line[] | undefined> {
    const { conversions, blobs, settings } = this.#parts;
    const conversion = await conversions.find(repository, digest);
    if (conversion?.state !== 'ready') return undefined;
    const manifest = await readBlob(blobs, conversion.manifest);
    const boot = parseBootManifest(manifest);
    if (boot === undefined) return undefined;
    const config = await readBlob(blobs, boot.config.digest);
    const signatures = await this.#parts.releaseSignatures(repository, conversion.manifest);
    const { artifactsUrl, httpPort } = settings;
    return [
      ...versionLines(conversion.image),
      ['boot', conversion.manifest],
      ['boot_manifest_base64', manifest.toString('base64')],
      ['boot_config_base64', config.toString('base64')],
      ...signatures.slice(0, SIGNATURE_LIMIT).flatMap(signatureLines),
      ['artifacts_url', artifactsUrl === '' ? `http://${serverHost}:${httpPort()}` : artifactsUrl],
      ['command_line', this.#commandLine(machine, conversion.image)],
      ['rate_bytes', settings.rateBytesPerSecond],
      ['trial_seconds', settings.trialSeconds],
      ['tries', TRIES],
      ['ignore_units', (this.#parts.profileOf(machine)?.install?.ignoreUnits ?? []).join(',')],
    ];
  }

  #commandLine(machine: Machine, image: BootImage): string {
    return [...image.commandLine, ...(this.#parts.profileOf(machine)?.boot.commandLine ?? [])].join(' ');
  }

  #installLines({ disk, force, slotMebibytes, recovery, persist }: InstallRule): readonly Line[] {
    const { releaseKeys, operatorKeys, allowUnsigned } = this.#parts.settings;
    const bytes = (gibibytes: number | undefined) => (gibibytes === undefined ? '' : Math.round(gibibytes * GIBIBYTE));
    const key = (name: string) => (pem: string) => [name, Buffer.from(pem).toString('base64')] as const;
    return [
      ['disk_min_bytes', bytes(disk.minGibibytes)],
      ['disk_max_bytes', bytes(disk.maxGibibytes)],
      ['disk_model', disk.model ?? ''],
      ['disk_path', disk.path ?? ''],
      ['disk_force', force ? 'yes' : 'no'],
      ['slot_mebibytes', slotMebibytes],
      ['recovery', recovery ? 'yes' : 'no'],
      ...persist.map((path) => ['persist', path] as const),
      ...releaseKeys.map(key('trust_release_base64')),
      ...operatorKeys.map(key('trust_operator_base64')),
      ['trust_unsigned', allowUnsigned ? 'yes' : 'no'],
    ];
  }
}

function imageLines({ repository, image }: { readonly repository: string; readonly image: Digest }): readonly Line[] {
  return [
    ['repository', repository],
    ['image', image],
  ];
}

function versionLines({ version }: BootImage): readonly Line[] {
  return version === undefined ? [] : [['version', version]];
}

/** The first pair has plain names, the others a number behind. */
function signatureLines({ payload, signature }: ReleaseSignature, index: number): readonly Line[] {
  const ending = index === 0 ? '' : `_${index}`;
  return [
    [`release_payload_base64${ending}`, Buffer.from(payload).toString('base64')],
    [`release_signature_base64${ending}`, signature],
  ];
}

function documentLines({ signed }: RolloutOrder): readonly Line[] {
  if (signed === undefined) return [];
  return [
    ['rollout_base64', Buffer.from(signed.document).toString('base64')],
    ['rollout_signature_base64', signed.signature],
  ];
}

function timeLines({ notBefore, notAfter }: RolloutOrder): readonly Line[] {
  return [
    ...(notBefore === undefined ? [] : [['not_before', notBefore] as const]),
    ...(notAfter === undefined ? [] : [['not_after', notAfter] as const]),
  ];
}

/** A value that could break out of its line does not get here: profiles and references are parsed to safe alphabets. */
function lines(pairs: readonly Line[]): string {
  return pairs
    .filter(([, value]) => value !== '' && !/[\r\n\0]/.test(String(value)))
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}
