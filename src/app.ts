// The composition root: the only place that makes services and adapters, and the order in which they start and stop.
// Whatever is offered on the wire is served before it is offered: store, HTTP, TFTP, then DHCP.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { openImages, type Images } from './app-images.ts';
import { openBootService } from './app-boot.ts';
import { startDhcp, startTftp } from './app-network.ts';
import { openOrders, openRollouts } from './app-rollouts.ts';
import { DiskBootWatch } from './boot-sessions/disk-boot-watch.ts';
import { BootSessionService } from './boot-sessions/boot-session-service.ts';
import type { ServedAddresses } from './cli/format-banner.ts';
import { JoseTokenSigner } from './crypto/jose-token-signer.ts';
import { openKeyRing, type KeyRing } from './crypto/key-ring.ts';
import { issueServerCertificates } from './crypto/server-certificates.ts';
import { X509CertificateAuthority } from './crypto/x509-certificate-authority.ts';
import { EnrollmentService } from './enrollment/enrollment-service.ts';
import { EventRecorder } from './events/event-recorder.ts';
import { buildHttp, type ApiHttpParts } from './http/build-http.ts';
import { EventStreams } from './http/event-streams.ts';
import { listen } from './http/listen.ts';
import { WebSessions } from './http/web-sessions.ts';
import type { BlobStore } from './images/blob-store.ts';
import { importLoaders } from './images/loaders/import-loaders.ts';
import type { LoaderRecord } from './images/loaders/loaders.ts';
import { AgentService } from './machines/agent-service.ts';
import { MachineService } from './machines/machine-service.ts';
import { ProfileService } from './machines/profile-service.ts';
import { SightingRecorder } from './machines/sighting-recorder.ts';
import { SystemClock, SystemRandom, SystemScheduler } from './platform/clock.ts';
import { chooseInterfaces, viewInterfaces, type NetworkInterface } from './platform/network-interfaces.ts';
import { sha256 } from './platform/sha256.ts';
import type { AgentOrders } from './rollouts/agent-orders.ts';
import type { RolloutService } from './rollouts/rollout-service.ts';
import { loadConfiguration } from './settings/load-configuration.ts';
import type { Settings } from './settings/schema.ts';
import { openFileBlobStore } from './storage/files/file-blob-store.ts';
import { createSqlStores } from './storage/sql/create-sql-stores.ts';
import { openDatabase } from './storage/sql/open-database.ts';
import type { Stores } from './storage/stores.ts';

const BASE_DIRECTORY = resolve(import.meta.dirname, '..');
const TIDY_EVERY_MS = 10 * 60_000;
const MAX_TOKEN_SECONDS = 365 * 24 * 3600;
const MAX_TOKEN_USES = 10_000;

export interface App {
  /** Resolves when everything is served. Throws what stood in the way, with all that was started stopped again. */
  start(): Promise<void>;
  /** Stops in the reverse order. Idempotent. */
  stop(): Promise<void>;
  /** As bound; valid once started. */
  readonly addresses: ServedAddresses;
}

export interface AppOverrides {
  readonly logger: Logger;
  readonly version: string;
}

type Health = 'starting' | 'ready' | 'stopping';

export function createApp(settings: Settings, { logger, version }: AppOverrides): App {
  const undo: (() => Promise<unknown>)[] = [];
  let health: Health = 'starting';
  let addresses: ServedAddresses = { interfaces: [], http: { port: 0 }, api: { port: 0 } };
  let stopped: Promise<void> | undefined;

  const stop = (): Promise<void> => (stopped ??= stopAll());
  const stopAll = async (): Promise<void> => {
    health = 'stopping';
    for (const action of undo.splice(0).reverse()) await action();
  };

  const start = async (): Promise<void> => {
    try {
      const interfaces = chooseInterfaces(settings.interfaces, await viewInterfaces());
      const configuration = await loadConfiguration(settings);
      const core = await openCore(settings, configuration, logger, undo);
      const servers = await startServers(
        { settings, logger, version, interfaces, core, health: () => health, addresses: () => addresses },
        undo,
      );
      addresses = servers;
      await core.events.recordNow({ kind: 'server-started', details: { version } });
      health = 'ready';
    } catch (error) {
      await stop();
      throw error;
    }
  };

  return {
    start,
    stop,
    get addresses() {
      return addresses;
    },
  };
}

/** Everything that works without a socket. */
interface Core {
  readonly keys: KeyRing;
  readonly stores: Stores;
  readonly blobs: BlobStore;
  readonly loaders: readonly LoaderRecord[];
  readonly images: Images;
  readonly events: EventRecorder;
  readonly machines: MachineService;
  readonly sessions: BootSessionService;
  readonly enrollment: EnrollmentService;
  readonly rollouts: RolloutService;
  readonly diskBoots: DiskBootWatch;
}

const clock = new SystemClock();
const scheduler = new SystemScheduler();
const random = new SystemRandom();

type Undo = (() => Promise<unknown>)[];

async function openCore(
  settings: Settings,
  configuration: Awaited<ReturnType<typeof loadConfiguration>>,
  logger: Logger,
  undo: Undo,
): Promise<Core> {
  const keys = await openKeyRing(settings.dataDirectory, clock);
  const database = await openDatabase(join(settings.dataDirectory, 'muster.db'));
  undo.push(() => database.destroy());
  const stores = createSqlStores(database);
  const blobDirectory = join(settings.dataDirectory, 'blobs');
  const blobs = await openFileBlobStore(blobDirectory);
  const events = new EventRecorder({
    log: stores.events,
    clock,
    scheduler,
    onFailure: (error) => {
      logger.error({ err: error }, 'events could not be stored');
    },
  });
  undo.push(() => events.flush());
  const sightings = new SightingRecorder({
    store: stores.machines,
    clock,
    scheduler,
    onFailure: (error) => {
      logger.error({ err: error }, 'sightings of machines could not be stored');
    },
  });
  undo.push(() => sightings.flush());
  const profiles = new ProfileService({ ...configuration, sha256 });
  let loaders: readonly LoaderRecord[] = [];
  const images = await openImages({
    ...{ settings, stores, blobs, blobDirectory, events, clock, scheduler, logger },
    loaders: () => loaders,
    profiles: configuration.profiles,
  });
  undo.push(() => images.close());
  undo.push(() => images.conversions.stop());
  const rollouts = await openRollouts({
    ...{ settings, stores, events, clock, scheduler, random, logger },
    images: images.catalogue,
  });
  const diskBoots = new DiskBootWatch(clock);
  const machines = new MachineService({
    store: stores.machines,
    images: images.catalogue,
    ...{ sightings, profiles, events, clock, random },
    assignedImage: (machine) => rollouts.loop.assignedImage(machine),
    diskFailures: (machine) => diskBoots.failuresOf(machine),
    settings: { unknownMachines: settings.enrollment.unknownMachines, maxMachines: settings.limits.machines },
  });
  const enrollment = new EnrollmentService({
    store: stores.enrollment,
    machines: stores.machines,
    authority: new X509CertificateAuthority(keys.machineCa),
    signer: new JoseTokenSigner(keys.tokenSigningKey),
    ...{ clock, random, events },
    newMachineId: () => machines.newMachineId(),
    settings: {
      // Another Muster's tokens are not ours, even where somebody copied a signing key: the CA is what machines pin.
      issuer: `muster ${keys.caSha256.slice(0, 16)}`,
      audience: `muster ${keys.caSha256.slice(0, 16)} enroll`,
      certificateSeconds: settings.enrollment.certificateHours * 3600,
      defaultTtlSeconds: settings.enrollment.tokenMinutes * 60,
      maxTtlSeconds: MAX_TOKEN_SECONDS,
      maxUses: MAX_TOKEN_USES,
    },
  });
  const sessions = new BootSessionService({
    store: stores.sessions,
    ...{ clock, random, sha256 },
    settings: settings.boot,
  });
  keepTidy(settings, { stores, sessions, images }, logger, undo);
  loaders = await openLoaders(blobs, logger);
  images.conversions.start();
  await rollouts.loop.start();
  undo.push(() => rollouts.loop.stop());
  return { keys, stores, blobs, loaders, images, events, machines, sessions, enrollment, rollouts, diskBoots };
}

async function openLoaders(blobs: BlobStore, logger: Logger): Promise<readonly LoaderRecord[]> {
  return importLoaders({
    catalogueText: await readFile(join(BASE_DIRECTORY, 'boot-assets/loaders.yaml'), 'utf8'),
    readFile: (path) => readFile(path).catch(() => undefined),
    blobs,
    sha256,
    onUntested: ({ name, version }) => {
      logger.warn({ loader: name, version }, 'a loader of a version that was not tested is served');
    },
  });
}

/** Ended sessions, the oldest events and what no image needs any more go, so that the data folder does not grow for ever. */
function keepTidy(
  settings: Settings,
  core: Pick<Core, 'stores' | 'sessions' | 'images'>,
  logger: Logger,
  undo: Undo,
): void {
  let cancel = (): void => undefined;
  const tidy = async (): Promise<void> => {
    try {
      await core.sessions.removeEnded();
      await core.stores.events.prune(settings.limits.events);
      const { digests, sizeBytes } = await core.images.registry.collectGarbage();
      if (digests.length > 0) logger.info({ blobs: digests.length, sizeBytes }, 'removed what no image needs');
    } catch (error) {
      logger.error({ err: error }, 'the data folder could not be tidied');
    }
  };
  const next = (): void => {
    cancel = scheduler.after(TIDY_EVERY_MS, () => void tidy().finally(next));
  };
  next();
  undo.push(() => {
    cancel();
    return Promise.resolve();
  });
}

interface ServerParts {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly version: string;
  readonly interfaces: readonly NetworkInterface[];
  readonly core: Core;
  readonly health: () => Health;
  readonly addresses: () => ServedAddresses;
}

async function startServers(parts: ServerParts, undo: Undo): Promise<ServedAddresses> {
  const { settings, logger, interfaces, core } = parts;
  const ports = { http: settings.http.port, api: settings.api.port };
  const boot = await openBootService(settings, core, ports, clock);
  const shared = {
    bootService: boot,
    blobs: core.blobs,
    health: parts.health,
    version: parts.version,
    caPem: core.keys.machineCa.certificatePem,
    logger: logger.child({ component: 'http' }),
    ...{ clock, scheduler },
  };
  const webHost = interfaces[0]?.address ?? '127.0.0.1';
  const orders = await openOrders({ settings, ...core, httpPort: () => ports.http });
  const api = buildHttp(await apiParts(parts, shared, orders));
  undo.push(() => api.close());
  ports.api = await listen(api, ports.api, 'https');
  const http = buildHttp({
    ...shared,
    kind: 'boot',
    artifacts: core.images.artifacts,
    apiUrl: () => `https://${webHost}:${ports.api}/`,
  });
  undo.push(() => http.close());
  ports.http = await listen(http, ports.http, 'http');

  const network = { ...parts, clock, scheduler, random };
  const tftp = settings.tftp.enabled ? await startTftp(network, boot, undo) : undefined;
  const dhcp = settings.dhcp.mode === 'proxy' ? await startDhcp(network, () => ports.http, undo) : undefined;
  return { interfaces, dhcp, tftp, http: { port: ports.http }, api: { port: ports.api } };
}

type SharedHttpParts = Pick<
  ApiHttpParts,
  'bootService' | 'blobs' | 'health' | 'version' | 'caPem' | 'logger' | 'clock' | 'scheduler'
>;

async function apiParts(parts: ServerParts, shared: SharedHttpParts, orders: AgentOrders): Promise<ApiHttpParts> {
  const { settings, interfaces, core } = parts;
  const names = [...interfaces.map(({ address }) => address), ...settings.api.names];
  return {
    ...shared,
    kind: 'api',
    tls: await issueServerCertificates(core.keys, names, clock.now()),
    adminAuth: {
      verifyAdminToken: (token) => core.keys.adminToken.matches(token),
      sessions: new WebSessions({ clock, random }),
    },
    machineService: core.machines,
    agentService: new AgentService({
      ...{ machines: core.machines, events: core.events, rollouts: core.rollouts.loop, diskBoots: core.diskBoots },
      ...{ orders, settings: settings.agent },
    }),
    enrollmentService: core.enrollment,
    machineStore: core.stores.machines,
    eventLog: core.stores.events,
    eventStreams: new EventStreams({ log: core.stores.events, recorder: core.events, scheduler }),
    images: core.images.catalogue,
    registry: core.images.served,
    collector: core.images.registry,
    channels: core.images.channels,
    signatureTrust: core.images.signatureTrust,
    rollouts: core.rollouts,
    loaders: { list: () => Promise.resolve(core.loaders) },
    limits: {
      ...{ enrollmentsPerMinute: 60, agentMessagesPerMinute: 30, registryRequestsPerMinute: 6000 },
      blobBytes: settings.limits.blobBytes,
    },
    startedAt: clock.now(),
    addresses: () => describeAddresses(parts.addresses()),
  };
}

function describeAddresses({ interfaces, dhcp, tftp, http, api }: ServedAddresses): Record<string, string[]> {
  const each = (describe: (address: string) => string): string[] => interfaces.map(({ address }) => describe(address));
  return {
    dhcp: dhcp === undefined ? [] : each((address) => `udp ${address}:${dhcp.port} and :${dhcp.pxePort}`),
    tftp: tftp === undefined ? [] : each((address) => `udp ${address}:${tftp.port}`),
    http: each((address) => `http://${address}:${http.port}`),
    api: each((address) => `https://${address}:${api.port}`),
  };
}
