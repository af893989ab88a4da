// Both listeners over memory stores and scripted services, for inject(): what a test needs to speak HTTP without sockets.
import { Writable } from 'node:stream';
import { pino } from 'pino';
import type { BootRequest, BootResource } from '../../../src/boot-sessions/boot-resource.ts';
import type { Scheduler } from '../../../src/clock.ts';
import type { EnrollmentOutcome, EnrollmentRequest } from '../../../src/enrollment/enrollment-service.ts';
import type { TokenRecord } from '../../../src/enrollment/enrollment-token.ts';
import type { TokenRequest } from '../../../src/enrollment/new-token.ts';
import { buildHttp, type ApiHttpParts } from '../../../src/http/build-http.ts';
import { EventStreams } from '../../../src/http/event-streams.ts';
import { WebSessions } from '../../../src/http/web-sessions.ts';
import { ChannelService } from '../../../src/images/channels/channel-service.ts';
import { AppError } from '../../../src/errors.ts';
import { RegistryService } from '../../../src/images/registry/registry-service.ts';
import { RolloutService } from '../../../src/rollouts/rollout-service.ts';
import { StoredSignatures } from '../../../src/images/trust/signature-stored-source.ts';
import { SignatureTrust } from '../../../src/images/trust/signature-trust.ts';
import { AgentService } from '../../../src/machines/agent-service.ts';
import type { Machine } from '../../../src/machines/machine.ts';
import { digestBytes } from '../../../src/storage/digest-bytes.ts';
import { MemoryBlobStore } from '../../../src/storage/memory/memory-blob-store.ts';
import { MemoryRegistryStore } from '../../../src/storage/memory/memory-registry-store.ts';
import { MemoryUploadStore } from '../../../src/storage/memory/memory-upload-store.ts';
import { aDigest, aToken } from '../../support/domain-builders.ts';
import { aSpec } from '../../support/rollout-builders.ts';
import { aServiceWorld, countingRandom } from '../../support/service-world.ts';

export const ADMIN_TOKEN = 'the-admin-token-of-this-test';
export const AS_ADMIN = { authorization: `Bearer ${ADMIN_TOKEN}` };
export const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

/** Does nothing by itself: `runAll` is the passing of time. */
class ManualScheduler implements Scheduler {
  readonly #actions = new Set<() => void>();

  after(_milliseconds: number, action: () => void): () => void {
    this.#actions.add(action);
    return () => {
      this.#actions.delete(action);
    };
  }

  runAll(): void {
    const due = [...this.#actions];
    this.#actions.clear();
    for (const action of due) action();
  }

  get waiting(): number {
    return this.#actions.size;
  }
}

/** Answers boot requests with what the test put there, and remembers them. */
class ScriptedBootService {
  readonly requests: BootRequest[] = [];
  resourceToGive: BootResource = { kind: 'refused', status: 404, reason: 'no such file' };

  resource(request: BootRequest): Promise<BootResource> {
    this.requests.push(request);
    return Promise.resolve(this.resourceToGive);
  }
}

/** Answers enrollment requests with what the test put there, and remembers them. */
class ScriptedEnrollment {
  readonly requests: EnrollmentRequest[] = [];
  readonly tokenRequests: TokenRequest[] = [];
  readonly tokens: TokenRecord[] = [];
  readonly machinesBySerial = new Map<string, Machine>();
  outcome: EnrollmentOutcome = { kind: 'refused', code: 'token-unknown', message: 'The token is not on record.' };

  enroll(request: EnrollmentRequest): Promise<EnrollmentOutcome> {
    this.requests.push(request);
    return Promise.resolve(this.outcome);
  }

  renew(): Promise<EnrollmentOutcome> {
    return Promise.resolve(this.outcome);
  }

  identify(serial: string) {
    const machine = this.machinesBySerial.get(serial);
    if (machine === undefined) return Promise.resolve({ kind: 'refused', code: 'unauthorised' } as const);
    return Promise.resolve({ kind: 'machine', machine } as const);
  }

  createToken(request: TokenRequest) {
    this.tokenRequests.push(request);
    const record = aToken({ createdBy: request.by });
    this.tokens.push(record);
    return Promise.resolve({ record, token: 'signed.token.text' });
  }

  revokeToken(id: string): Promise<boolean> {
    return Promise.resolve(this.tokens.some((token) => token.id === id));
  }

  findToken(id: string): Promise<TokenRecord | undefined> {
    return Promise.resolve(this.tokens.find((token) => token.id === id));
  }

  listTokens(): Promise<readonly TokenRecord[]> {
    return Promise.resolve(this.tokens);
  }
}

/** `overrides` replace parts of the API listener, such as its TLS files or limits. */
export function anHttpWorld(overrides: Partial<ApiHttpParts> = {}) {
  const services = aServiceWorld();
  const { clock, stores, images, machines, events } = services;
  const logLines: string[] = [];
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      logLines.push(String(chunk));
      done();
    },
  });
  const logger = pino({ level: 'trace', base: null }, stream);
  const scheduler = new ManualScheduler();
  const boot = new ScriptedBootService();
  const enrollment = new ScriptedEnrollment();
  const blobs = new MemoryBlobStore();
  const sessions = new WebSessions({ clock, random: countingRandom() });
  const limits = { enrollmentsPerMinute: 10, agentMessagesPerMinute: 3, registryRequestsPerMinute: 100_000 };
  const registry = new RegistryService({
    ...{ blobs, clock, digestBytes },
    store: new MemoryRegistryStore(),
    uploads: new MemoryUploadStore({ blobs, clock }),
    pinned: () => Promise.resolve(new Set()),
    limits: { blobBytes: 1_000_000 },
  });
  const signatureTrust = new SignatureTrust({
    source: new StoredSignatures(stores.registry, blobs),
    keys: [],
    requirements: { require: [], channels: {} },
  });
  const channels = new ChannelService({
    ...{ registry: stores.registry, collection: registry, trust: signatureTrust, events, clock },
    store: stores.channels,
  });
  const rollouts = new RolloutService({
    ...{ events, clock, scheduler },
    store: stores.rollouts,
    machines: stores.machines,
    random: countingRandom(),
    imageOf: (reference) =>
      reference === 'fleet/os:2'
        ? Promise.resolve(aSpec().image)
        : Promise.reject(new AppError('invalid-request', `image: there is no ${reference}.`)),
    operatorKeys: [],
    onFailure: (error) => {
      logger.error({ err: error }, 'a rollout failed');
    },
    settings: { tickMilliseconds: 1000, offlineSeconds: 180, allowUnsigned: true, maxMachines: 100 },
  });
  const shared = {
    ...{ logger, clock, scheduler, blobs },
    bootService: boot,
    caPem: '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n',
    version: '1.2.3',
    health: () => 'ready' as const,
  };
  const apiParts: ApiHttpParts = {
    ...shared,
    kind: 'api',
    tls: { key: [], cert: [], ca: [] },
    adminAuth: { verifyAdminToken: (token) => token === ADMIN_TOKEN, sessions },
    machineService: machines,
    agentService: new AgentService({
      ...{ machines, events },
      orders: { idFor: () => undefined, render: () => Promise.resolve(undefined) },
      rollouts: rollouts.loop,
      diskBoots: { heard: () => undefined },
      settings: { heartbeatSeconds: 30 },
    }),
    enrollmentService: enrollment,
    machineStore: stores.machines,
    eventLog: stores.events,
    eventStreams: new EventStreams({ log: stores.events, recorder: events, scheduler }),
    ...{ images, channels, signatureTrust, rollouts },
    loaders: {
      list: () =>
        Promise.resolve([
          {
            ...({ name: 'ipxe.efi', architecture: 'x64-uefi', digest: aDigest('e'), sizeBytes: 1000 } as const),
            ...{ package: 'ipxe', version: '1.21.1', licence: 'GPL-2.0', tested: true },
          },
        ]),
    },
    limits: { ...limits, blobBytes: 1_000_000 },
    registry,
    collector: registry,
    startedAt: clock.now(),
    addresses: () => ({ http: 'http://192.0.2.1:8080' }),
    ...overrides,
  };
  const api = buildHttp(apiParts);
  const plain = buildHttp({
    ...shared,
    kind: 'boot',
    artifacts: { find: () => Promise.resolve(undefined) },
    apiUrl: () => 'https://192.0.2.1:8443/',
  });
  return { ...services, api, plain, boot, enrollment, blobs, registry, limits, sessions, scheduler, logLines };
}
