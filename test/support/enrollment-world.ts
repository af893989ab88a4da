// The enrollment service with everything around it: real tokens, memory stores unless others are given, a fake CA, and time
// that stands at noon until a test moves it.
import { generateKeyPairSync } from 'node:crypto';
import { JoseTokenSigner } from '../../src/crypto/jose-token-signer.ts';
import type { CertificateAuthority } from '../../src/enrollment/certificate-authority.ts';
import type { TokenSigner } from '../../src/enrollment/token-signer.ts';
import {
  EnrollmentService,
  type EnrollmentOutcome,
  type EnrollmentRequest,
  type EnrollmentSettings,
} from '../../src/enrollment/enrollment-service.ts';
import type { EnrollmentStore } from '../../src/enrollment/enrollment-store.ts';
import type { TokenRecord } from '../../src/enrollment/enrollment-token.ts';
import type { TokenRequest } from '../../src/enrollment/new-token.ts';
import type { BootEvent } from '../../src/events/boot-event.ts';
import type { EventLog } from '../../src/events/event-log.ts';
import { EventRecorder } from '../../src/events/event-recorder.ts';
import type { Machine, MachineId } from '../../src/machines/machine.ts';
import type { MachineStore } from '../../src/machines/machine-store.ts';
import { MemoryEnrollmentStore } from '../../src/storage/memory/memory-enrollment-store.ts';
import { MemoryEventLog } from '../../src/storage/memory/memory-event-log.ts';
import { MemoryMachineStore } from '../../src/storage/memory/memory-machine-store.ts';
import { aMac, NOON } from './domain-builders.ts';
import { FakeCertificateAuthority } from './fake-certificate-authority.ts';

const DAY_SECONDS = 86_400;

export const SETTINGS: EnrollmentSettings = {
  issuer: 'muster',
  audience: 'muster-enroll',
  certificateSeconds: DAY_SECONDS,
  defaultTtlSeconds: 900,
  maxTtlSeconds: 7 * DAY_SECONDS,
  maxUses: 1000,
};

const { privateKey } = generateKeyPairSync('ed25519');

export interface WorldStores {
  readonly machines: MachineStore;
  readonly enrollment: EnrollmentStore;
  readonly events: EventLog;
}

function memoryStores(): WorldStores {
  const machines = new MemoryMachineStore();
  return { machines, enrollment: new MemoryEnrollmentStore(machines), events: new MemoryEventLog() };
}

export class EnrollmentWorld {
  now = NOON;
  /** The default one; unused where a test gave its own. */
  readonly authority = new FakeCertificateAuthority();
  readonly signer: TokenSigner;
  readonly stores: WorldStores;
  readonly service: EnrollmentService;
  readonly #authority: CertificateAuthority;
  readonly #recorder: EventRecorder;
  #random = 0;
  #machines = 0;

  constructor(given: { stores?: WorldStores; authority?: CertificateAuthority; signer?: TokenSigner } = {}) {
    const stores = given.stores ?? memoryStores();
    this.stores = stores;
    this.signer = given.signer ?? new JoseTokenSigner(privateKey);
    this.#authority = given.authority ?? this.authority;
    const clock = { now: () => this.now };
    this.#recorder = new EventRecorder({
      log: stores.events,
      clock,
      scheduler: { after: () => () => undefined },
      onFailure: (error) => {
        throw error;
      },
    });
    this.service = this.anotherService();
  }

  /** A second process over the same stores. */
  anotherService(): EnrollmentService {
    return new EnrollmentService({
      store: this.stores.enrollment,
      machines: this.stores.machines,
      authority: this.#authority,
      signer: this.signer,
      events: this.#recorder,
      clock: { now: () => this.now },
      random: { bytes: (count) => this.#bytes(count) },
      newMachineId: () => `m-${(this.#machines += 1).toString(16).padStart(16, '0')}` as MachineId,
      settings: SETTINGS,
    });
  }

  async token(request: Partial<TokenRequest> = {}): Promise<{ record: TokenRecord; token: string }> {
    return this.service.createToken({ by: 'admin', ...request });
  }

  /** A machine with the default MAC and key asks. */
  enroll(token: string, overrides: Partial<EnrollmentRequest> = {}): Promise<EnrollmentOutcome> {
    return this.service.enroll(aRequest(token, overrides));
  }

  async insert(machine: Machine): Promise<Machine> {
    return (await this.stores.machines.insert(machine)).machine;
  }

  machines(): Promise<readonly Machine[]> {
    return this.stores.machines.list({ limit: 10_000 });
  }

  /** All events but those of making the token. */
  async events(): Promise<readonly BootEvent[]> {
    await this.#recorder.flush();
    const all = await this.stores.events.query({ limit: 100_000 });
    return all.filter(({ kind }) => kind !== 'token-created');
  }

  /** Everything that an enrollment may change. */
  async record(): Promise<unknown> {
    const tokens = await this.service.listTokens({ limit: 1000, includeEnded: true });
    return { tokens, machines: await this.machines(), issued: this.authority.issued };
  }

  #bytes(count: number): Uint8Array {
    this.#random += 1;
    const bytes = Buffer.alloc(count);
    bytes.writeUInt32BE(this.#random, count - 4);
    return bytes;
  }
}

export function aRequest(token: string, overrides: Partial<EnrollmentRequest> = {}): EnrollmentRequest {
  return {
    token,
    csrPem: 'csr key-1',
    candidate: { macs: [aMac()] },
    facts: {},
    peerAddress: '192.0.2.50',
    ...overrides,
  };
}
