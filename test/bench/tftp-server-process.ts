// Muster's TFTP server alone in a process of its own, for measuring: serves the files of one folder.
// Usage: tftp-server-process.ts <address> <port> <folder> <mtu>
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { SystemClock, SystemRandom, SystemScheduler } from '../../src/platform/clock.ts';
import { openUdpSocket } from '../../src/platform/udp-socket.ts';
import { TftpServer } from '../../src/servers/tftp-server.ts';

const [address = '127.0.0.1', port = '6969', folder = '.', mtu = '1500'] = process.argv.slice(2);

const server = new TftpServer({
  port: Number(port),
  limits: { sessionsPerAddress: 64 },
  openFile: async (name) => {
    const file = path.join(folder, name);
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) return { reason: 'not-found' };
    return { kind: 'blob', sizeBytes: found.size, cacheKey: file, read: (range) => createReadStream(file, range) };
  },
  openSocket: openUdpSocket,
  clock: new SystemClock(),
  scheduler: new SystemScheduler(),
  random: new SystemRandom(),
  logger: { debug: () => undefined, warn: console.warn },
  onTransfer: () => undefined,
});
await server.start([{ address, mtu: Number(mtu) }]);
console.log('ready');
