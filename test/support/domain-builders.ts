// Builders of domain values with valid defaults, so that a test shows only what it is about.
import type { BootSession, BootSessionId } from '../../src/boot-sessions/boot-session.ts';
import type { CertificateRecord } from '../../src/enrollment/enrollment-store.ts';
import type { TokenRecord } from '../../src/enrollment/enrollment-token.ts';
import type { NewBootEvent } from '../../src/events/boot-event.ts';
import type { BootImage } from '../../src/images/boot-image.ts';
import type { Conversion, ConversionState } from '../../src/images/conversion/conversion.ts';
import { parseDigest, type Digest } from '../../src/images/digest.ts';
import type { Machine, MachineId } from '../../src/machines/machine.ts';
import { parseMacAddress, type MacAddress } from '../../src/protocol/mac-address.ts';

/** The moment at which every builder's world begins: 2026-01-01 12:00 UTC. */
export const NOON = Date.UTC(2026, 0, 1, 12);

const MINUTE = 60_000;

/** `52:54:00:00:00:01` for 1, and so on: another number is another address. */
export function aMac(number = 1): MacAddress {
  const mac = parseMacAddress((0x5254_0000_0000 + number).toString(16));
  if (mac === undefined) throw new Error(`no MAC address of number ${number}`);
  return mac;
}

export function aMachineId(name = 'machine-1'): MachineId {
  return name as MachineId;
}

export function aSessionId(name = 'session-1'): BootSessionId {
  return name as BootSessionId;
}

/** A digest of one hexadecimal digit repeated. */
export function aDigest(digit = 'a'): Digest {
  const digest = parseDigest(`sha256:${digit.repeat(64)}`);
  if (digest === undefined) throw new Error(`${digit} is no hexadecimal digit`);
  return digest;
}

/** Discovered at noon, nothing known but its MAC; version 1 as after its insert. */
export function aMachine(overrides: Partial<Machine> = {}): Machine {
  return {
    id: aMachineId(),
    macs: [aMac()],
    state: 'discovered',
    stateReason: 'first seen',
    stateSince: NOON,
    labels: {},
    facts: {},
    createdAt: NOON,
    lastSeenAt: NOON,
    version: 1,
    ...overrides,
  };
}

/** Begun at noon for half an hour, script not served yet. */
export function aSession(overrides: Partial<BootSession> = {}): BootSession {
  return {
    id: aSessionId(),
    machineId: aMachineId(),
    mac: aMac(),
    architecture: 'x64-uefi',
    serverAddress: '192.0.2.1',
    createdAt: NOON,
    expiresAt: NOON + 30 * MINUTE,
    ...overrides,
  };
}

/** Made at noon, good for 15 minutes and one use, bound to nothing. */
export function aToken(overrides: Partial<TokenRecord> = {}): TokenRecord {
  return {
    id: 'token-1',
    createdAt: NOON,
    createdBy: 'admin',
    notBefore: NOON,
    expiresAt: NOON + 15 * MINUTE,
    maxUses: 1,
    uses: 0,
    labels: {},
    ...overrides,
  };
}

/** Good for a day from noon. The PEM is a placeholder: whoever parses it must give a real one. */
export function aCertificate(overrides: Partial<CertificateRecord> = {}): CertificateRecord {
  return {
    serial: '01',
    machineId: aMachineId(),
    keyFingerprint: 'f'.repeat(64),
    pem: '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n',
    notBefore: NOON,
    notAfter: NOON + 24 * 60 * MINUTE,
    ...overrides,
  };
}

/** A DISCOVER of the default machine; other kinds are best written out. */
export function anEvent(
  overrides: Omit<Partial<NewBootEvent<'dhcp-discover'>>, 'kind'> = {},
): NewBootEvent<'dhcp-discover'> {
  return {
    kind: 'dhcp-discover',
    details: { client: 'uefi-pxe', architecture: 'x64-uefi', interface: 'eth0' },
    ...overrides,
  };
}

export function anImage(overrides: Partial<BootImage> = {}): BootImage {
  return {
    name: 'debian-12',
    digest: aDigest('d'),
    family: 'dracut-livenet',
    kernel: { digest: aDigest('a'), sizeBytes: 8_000_000 },
    initrd: { digest: aDigest('b'), sizeBytes: 40_000_000 },
    squashfs: { digest: aDigest('c'), sizeBytes: 400_000_000 },
    commandLine: [],
    os: { id: 'debian', versionId: '12' },
    architecture: 'amd64',
    ...overrides,
  };
}

/** Of the image that anImage gives, queued at noon. */
export function aConversion(overrides: Partial<Omit<Conversion, 'state'>> & Partial<ConversionState> = {}): Conversion {
  const row = { repository: 'debian-12', digest: aDigest('d'), queuedAt: NOON, changedAt: NOON, attempts: 0 };
  return { ...row, state: 'queued', ...overrides } as Conversion;
}
