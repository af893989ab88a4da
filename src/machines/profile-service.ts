// Answers which profile, host name and cloud-config a machine gets. Works on what was loaded and checked at start; does no I/O.
import type { Sha256 } from '../clock.ts';
import type { CloudConfig } from '../cloud-config/cloud-config.ts';
import { expectedFiles, renderMetaData, renderUserData } from '../cloud-config/cloud-config.ts';
import { mergeLayers } from '../cloud-config/merge.ts';
import { fillPlaceholders, type PlaceholderValues } from '../cloud-config/placeholders.ts';
import type { Machine } from './machine.ts';
import { matchProfile, type MatchFacts, type ProfileMatch } from './match-profile.ts';
import type { Profile } from './profile.ts';

/** Everything a machine is to be configured with. */
export interface MachineConfig {
  readonly userData: string;
  readonly metaData: string;
  /** `sha256:<hex>` of userData: names this configuration. */
  readonly digest: string;
  readonly hostname: string;
  /** Files that the machine reads back, with the SHA-256 (lower-case hex) they must have. */
  readonly expectedFiles: readonly { readonly path: string; readonly sha256: string }[];
}

export class ProfileService {
  readonly #profiles: readonly Profile[];
  readonly #layers: ReadonlyMap<string, CloudConfig>;
  readonly #sha256: Sha256;

  /** `layers`: every cloud-config that a profile names, by name. */
  constructor(parts: { profiles: readonly Profile[]; layers: ReadonlyMap<string, CloudConfig>; sha256: Sha256 }) {
    this.#profiles = parts.profiles;
    this.#layers = parts.layers;
    this.#sha256 = parts.sha256;
  }

  match(facts: MatchFacts): ProfileMatch {
    return matchProfile(this.#profiles, facts);
  }

  profileOf(machine: Machine): Profile | undefined {
    return this.match(factsOf(machine)).winner;
  }

  /** The configuration of a machine with this profile; a machine without one gets an empty config and a name of its own. */
  configOf(machine: Machine, profile: Profile | undefined): MachineConfig {
    const values = placeholderValues(machine, profile);
    const layers = (profile?.cloudConfig ?? []).map((name) => this.#layers.get(name) ?? {});
    const config = fillPlaceholders(mergeLayers(layers), values);
    const hostname = config.hostname ?? values.hostname ?? '';
    const userData = renderUserData(config);
    return {
      userData,
      metaData: renderMetaData({ instanceId: machine.id, hostname }),
      digest: `sha256:${this.#sha256(userData)}`,
      hostname,
      expectedFiles: expectedFiles(config).map(({ path, content }) => ({ path, sha256: this.#sha256(content) })),
    };
  }
}

/** What profile matching sees of a machine on record. */
export function factsOf(machine: Machine): MatchFacts {
  const { macs, uuid, serial, architecture, address, labels, facts } = machine;
  return {
    macs,
    labels,
    ...(uuid === undefined ? {} : { uuid }),
    ...(serial === undefined ? {} : { serial }),
    ...(architecture === undefined ? {} : { architecture }),
    ...(address === undefined ? {} : { address }),
    ...(facts.vendor === undefined ? {} : { vendor: facts.vendor }),
    ...(facts.product === undefined ? {} : { product: facts.product }),
  };
}

function placeholderValues(machine: Machine, profile: Profile | undefined): PlaceholderValues {
  const mac = machine.macs[0] ?? '';
  const values = {
    id: machine.id,
    mac,
    mac_bare: mac.replaceAll(':', ''),
    uuid: machine.uuid ?? '',
    serial: machine.serial ?? '',
    profile: profile?.name ?? '',
    labels: { ...profile?.labels, ...machine.labels },
  };
  const hostname = fillPlaceholders(profile?.hostname ?? machine.hostname ?? 'node-{{ muster.mac_bare }}', values);
  return { ...values, hostname: toHostname(hostname) };
}

/** RFC 1123 §2.1: letters, digits and dashes, at most 63. */
function toHostname(text: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  return name.slice(0, 63).replace(/-+$/, '');
}
