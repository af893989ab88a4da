// What the fakes cannot show: the kernel's part in keeping strangers out, and a server under a rain of broken datagrams.
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import { decodePacket } from '../../src/protocol/tftp/decode-packet.ts';
import { encodePacket } from '../../src/protocol/tftp/encode-packet.ts';
import type { TftpPacket } from '../../src/protocol/tftp/packet.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { mutate, tftpSeeds } from '../support/tftp-mutations.ts';
import { aRequest } from '../support/tftp-builders.ts';
import { someBytes, startTftpWorld } from '../support/tftp-world.ts';
import type { TftpWorld } from '../support/tftp-world.ts';

const content = someBytes(1300);
const files = new Map([['loader.efi', content]]);
const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function aWorld(): Promise<TftpWorld> {
  const world = await startTftpWorld(files);
  closers.push(() => world.stop());
  return world;
}

/** A client that sends and waits for one answer. */
async function aClient() {
  const socket: Socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  closers.push(() => new Promise((resolve) => socket.close(resolve)));
  const send = (packet: TftpPacket, port: number): void => {
    socket.send(encodePacket(packet), port, '127.0.0.1');
  };
  const next = (): Promise<{ packet: TftpPacket; port: number }> =>
    new Promise((resolve) => {
      socket.once('message', (datagram, from) => {
        resolve({ packet: decodePacket(datagram), port: from.port });
      });
    });
  return {
    socket,
    send,
    ask: (packet: TftpPacket, port: number) => {
      const answer = next();
      send(packet, port);
      return answer;
    },
  };
}

/** Reads the whole file in lock-step. */
async function download(port: number): Promise<Buffer> {
  const client = await aClient();
  const payloads: Uint8Array[] = [];
  let answer = await client.ask(aRequest(), port);
  for (;;) {
    if (answer.packet.kind !== 'data') throw new Error(`got ${JSON.stringify(answer.packet)}`);
    const { block, payload } = answer.packet;
    payloads.push(payload);
    if (payload.length < 512) {
      client.send({ kind: 'ack', block }, answer.port);
      return Buffer.concat(payloads);
    }
    answer = await client.ask({ kind: 'ack', block }, answer.port);
  }
}

describe('TftpServer on real sockets', () => {
  it('answers from a fresh port and does not let a stranger into the transfer (RFC 1350 §4)', async () => {
    const { port } = await aWorld();
    const client = await aClient();
    const first = await client.ask(aRequest(), port);
    expect(first.port).not.toBe(port);
    const stranger = await aClient();
    stranger.send({ kind: 'error', code: 0, message: 'die' }, first.port);
    stranger.send({ kind: 'ack', block: 1 }, first.port);
    const second = await client.ask({ kind: 'ack', block: 1 }, first.port);
    expect(second).toMatchObject({ port: first.port, packet: { kind: 'data', block: 2 } });
  });

  it('goes on serving under thousands of broken datagrams, to its port and to the port of a transfer', async () => {
    const world = await aWorld();
    const random = new SeededRandom(4711);
    const seeds = tftpSeeds();
    const attacker = await aClient();
    const victim = await attacker.ask(aRequest({ tsize: '0' }), world.port);
    attacker.socket.on('message', () => undefined);
    for (let i = 0; i < 4000; i++) {
      const datagram = mutate(seeds[i % seeds.length]!, random);
      const port = i % 4 === 0 ? victim.port : world.port;
      attacker.socket.send(datagram, port, '127.0.0.1');
      // Server and attacker share this thread: without a pause the kernel would drop what nobody fetches.
      if (i % 50 === 0) await new Promise(setImmediate);
      if (i % 1000 === 0) expect((await download(world.port)).equals(content)).toBe(true);
    }
    expect((await download(world.port)).equals(content)).toBe(true);
  });

  it('frees every port when it stops in the middle of transfers', async () => {
    const world = await startTftpWorld(files);
    const client = await aClient();
    const { port } = await client.ask(aRequest(), world.port);
    const goodbye = new Promise<TftpPacket>((resolve) => {
      client.socket.once('message', (datagram) => {
        resolve(decodePacket(datagram));
      });
    });
    await world.stop();
    expect(await goodbye).toMatchObject({ kind: 'error', code: 0 });
    for (const free of [port, world.port]) {
      const again = createSocket('udp4');
      await new Promise<void>((resolve, reject) => {
        again.once('error', reject);
        again.bind({ port: free, address: '127.0.0.1', exclusive: true }, resolve);
      });
      again.close();
    }
  });
});
