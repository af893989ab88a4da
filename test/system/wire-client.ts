// A boot client on the machines' bridge, run in the lab's `lan` namespace: takes lines of JSON {port, to, packet: hex} on
// standard input, sends each from port 68 and prints, for each, what came back within a second as a line of JSON.
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { openUdpSocket } from '../../src/platform/udp-socket.ts';

const PATIENCE_MS = 700;

const socket = await openUdpSocket({ port: 68, interfaceName: 'br0', broadcast: true });
let heard: { from: string; port: number; packet: string }[] = [];
socket.onMessage((datagram, from) => {
  heard.push({ from: from.address, port: from.port, packet: datagram.toString('hex') });
});
for await (const line of createInterface({ input: process.stdin })) {
  const { port, to, packet } = JSON.parse(line) as { port: number; to: string; packet: string };
  heard = [];
  socket.send(Buffer.from(packet, 'hex'), { address: to, port });
  await sleep(PATIENCE_MS);
  process.stdout.write(`${JSON.stringify(heard)}\n`);
}
await socket.close();
