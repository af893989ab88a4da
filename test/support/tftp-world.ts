// A TFTP server on loopback with real sockets, for clients that are programs of others.
import { createHash } from 'node:crypto';
import { SystemClock, SystemRandom, SystemScheduler } from '../../src/platform/clock.ts';
import { openUdpSocket } from '../../src/platform/udp-socket.ts';
import { TftpServer } from '../../src/servers/tftp-server.ts';
import type { TftpLimits, TftpTransferReport } from '../../src/servers/tftp-server.ts';
import type { TftpFile } from '../../src/servers/tftp-content.ts';

export interface TftpWorld {
  readonly port: number;
  readonly reports: TftpTransferReport[];
  stop(): Promise<void>;
}

/** Serves `files` on 127.0.0.1 at a free port, with the MTU of Ethernet. */
export async function startTftpWorld(
  files: ReadonlyMap<string, Uint8Array>,
  limits: Partial<TftpLimits> = {},
): Promise<TftpWorld> {
  const reports: TftpTransferReport[] = [];
  const server = new TftpServer({
    port: 0,
    limits: { sessionsPerAddress: 64, ...limits },
    openFile: (name) => Promise.resolve(asBlob(name, files.get(name))),
    openSocket: openUdpSocket,
    clock: new SystemClock(),
    scheduler: new SystemScheduler(),
    random: new SystemRandom(),
    logger: { debug: () => undefined, warn: () => undefined },
    onTransfer: (report) => reports.push(report),
  });
  await server.start([{ address: '127.0.0.1' }]);
  return { port: server.addresses[0]!.port, reports, stop: () => server.stop() };
}

/** Bytes that no shift and no swap of blocks leaves equal. */
export function someBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 0x2545_f491;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function asBlob(name: string, bytes: Uint8Array | undefined): TftpFile | { reason: 'not-found' } {
  if (bytes === undefined) return { reason: 'not-found' };
  return {
    kind: 'blob',
    sizeBytes: bytes.length,
    cacheKey: name,
    // eslint-disable-next-line @typescript-eslint/require-await
    async *read({ start, end }) {
      yield bytes.subarray(start, end + 1);
    },
  };
}
