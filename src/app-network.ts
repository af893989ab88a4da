// The part of the composition root that listens on UDP: TFTP, and DHCP on 67 and 4011.
import { availableLoaders } from './boot/default-loaders.ts';
import type { BootService } from './boot-sessions/boot-service.ts';
import type { BootSessionService } from './boot-sessions/boot-session-service.ts';
import type { Clock, RandomSource, Scheduler } from './clock.ts';
import type { EventRecorder } from './events/event-recorder.ts';
import type { BlobStore } from './images/blob-store.ts';
import type { LoaderRecord } from './images/loaders/loaders.ts';
import type { MachineService } from './machines/machine-service.ts';
import { readInterfaceMtu } from './platform/interface-mtu.ts';
import type { NetworkInterface } from './platform/network-interfaces.ts';
import { openUdpSocket } from './platform/udp-socket.ts';
import { DhcpServer } from './servers/dhcp-server.ts';
import { TftpServer } from './servers/tftp-server.ts';
import type { Settings } from './settings/schema.ts';
import type { Logger } from 'pino';

interface NetworkParts {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly interfaces: readonly NetworkInterface[];
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: RandomSource;
  readonly core: {
    readonly blobs: BlobStore;
    readonly loaders: readonly LoaderRecord[];
    readonly machines: MachineService;
    readonly sessions: BootSessionService;
    readonly events: EventRecorder;
  };
}

type Undo = (() => Promise<unknown>)[];

export async function startTftp(
  parts: NetworkParts,
  boot: BootService,
  undo: Undo,
): Promise<{ readonly port: number }> {
  const { settings, core, clock, scheduler, random } = parts;
  const logger = parts.logger.child({ component: 'tftp' });
  const server = new TftpServer({
    port: settings.tftp.port,
    limits: { sessions: settings.tftp.maxSessions, sessionsPerAddress: settings.tftp.maxSessionsPerClient },
    openFile: (name) => {
      const loader = boot.loaderByTftpName(name);
      if (loader === undefined) return Promise.resolve({ reason: 'not-found' });
      const { digest, sizeBytes } = loader;
      return Promise.resolve({
        kind: 'blob',
        sizeBytes,
        cacheKey: digest,
        read: (range) => core.blobs.read(digest, range),
      });
    },
    openSocket: openUdpSocket,
    ...{ clock, scheduler, random, logger },
    onTransfer: ({ name, outcome, reason, bytes, milliseconds }) => {
      // A size probe that the client breaks off is how firmware learns the size (EDK2 Mtftp4Dxe): no event.
      if (outcome === 'probed' || outcome === 'not-found') return;
      boot
        .tftpServed({ name, completed: outcome === 'completed', reason, bytes, milliseconds })
        .catch((error: unknown) => {
          logger.error({ err: error }, 'a transfer could not be put on record');
        });
    },
  });
  const listenOn = parts.interfaces.map(async ({ name, address }) => ({ address, mtu: await readInterfaceMtu(name) }));
  await server.start(await Promise.all(listenOn));
  undo.push(() => server.stop());
  return { port: settings.tftp.port };
}

export async function startDhcp(
  parts: NetworkParts,
  httpPort: () => number,
  undo: Undo,
): Promise<{ readonly port: number; readonly pxePort: number }> {
  const { settings, interfaces, core, logger, clock } = parts;
  const loaders = availableLoaders(new Set(core.loaders.map(({ name }) => name)));
  const { port, pxePort, uefiStrategy } = settings.dhcp;
  for (const [role, bindPort] of [
    [4011, pxePort],
    [67, port],
  ] as const) {
    const server = new DhcpServer({
      port: role,
      bindPort,
      interfaces,
      openSocket: openUdpSocket,
      machines: core.machines,
      sessions: core.sessions,
      events: core.events,
      clock,
      logger: logger.child({ component: 'dhcp' }),
      policy: { loaders, uefiStrategy },
      httpPort,
    });
    await server.start();
    undo.push(() => server.stop());
  }
  return { port, pxePort };
}
