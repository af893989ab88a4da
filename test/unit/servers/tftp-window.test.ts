import { describe, expect, it } from 'vitest';
import { planTransfer } from '../../../src/boot/tftp-options.ts';
import { decodePacket } from '../../../src/protocol/tftp/decode-packet.ts';
import { segmentSizeFor, WindowSender } from '../../../src/servers/tftp-window.ts';
import type { TransferContent } from '../../../src/servers/tftp-content.ts';
import { FakeUdpSocket } from '../../support/fake-udp.ts';
import { someLimits } from '../../support/tftp-builders.ts';

function aSender(sizeBytes: number, options: Record<string, string>) {
  const bytes = Buffer.from(Uint8Array.from({ length: sizeBytes }, (_, index) => index * 7));
  const content: TransferContent = {
    sizeBytes,
    prepare: () => undefined,
    copy: (target, targetStart, start, end) => {
      target.set(bytes.subarray(start, end), targetStart);
    },
  };
  const limits = someLimits({ maximumBlockSize: 65_464, maximumWindowBytes: 1 << 20 });
  const plan = planTransfer(new Map(Object.entries(options)), sizeBytes, limits);
  const segmentSize = segmentSizeFor(plan);
  const socket = new FakeUdpSocket({ port: 0, ...(segmentSize === undefined ? {} : { segmentSize }) }, 1);
  const calls: number[] = [];
  const sendToPeer = socket.sendToPeer.bind(socket);
  socket.sendToPeer = (packed) => {
    calls.push(packed.length);
    sendToPeer(packed);
  };
  const blocks = () =>
    socket.sent.map(({ bytes: datagram }) => {
      const packet = decodePacket(datagram);
      if (packet.kind !== 'data') throw new Error(packet.kind);
      return packet;
    });
  return { sender: new WindowSender(socket, content, plan), socket, bytes, calls, blocks };
}

describe('WindowSender', () => {
  it('packs a window into one send, the short last block too', () => {
    const { sender, calls, blocks, bytes } = aSender(4000, { blksize: '1468', windowsize: '16' });
    sender.send(1, 3);
    expect(calls).toEqual([4000 + 12]);
    expect(blocks().map(({ block }) => block)).toEqual([1, 2, 3]);
    expect(Buffer.concat(blocks().map(({ payload }) => payload)).equals(bytes)).toBe(true);
  });

  it('sends an empty block after a file that is a multiple of the block size (RFC 1350 §6)', () => {
    const { sender, blocks } = aSender(1024, { windowsize: '4' });
    sender.send(1, 3);
    expect(blocks().map(({ payload }) => payload.length)).toEqual([512, 512, 0]);
  });

  it('keeps a send under 65 508 bytes and 64 segments, as the kernel asks', () => {
    const wide = aSender(1468 * 64, { blksize: '1468', windowsize: '64' });
    wide.sender.send(1, 64);
    expect(wide.calls).toEqual([44 * 1472, 20 * 1472]);
    expect(wide.blocks()).toHaveLength(64);
    const narrow = aSender(512 * 200, { windowsize: '64' });
    narrow.sender.send(1, 64);
    expect(narrow.calls).toEqual([64 * 516]);
  });

  it('sends block by block where the kernel does not segment', () => {
    const { sender, socket, calls } = aSender(4000, { blksize: '1468', windowsize: '16' });
    socket.stopSegmenting();
    sender.send(1, 3);
    expect(calls).toEqual([1472, 1472, 1068]);
  });

  it('writes block numbers modulo 65536', () => {
    const { sender, blocks } = aSender(8 * 70_000, { blksize: '8' });
    sender.send(65_535, 65_537);
    expect(blocks().map(({ block }) => block)).toEqual([65_535, 0, 1]);
  });

  it('does not touch bytes that the socket still holds', () => {
    const { sender, socket } = aSender(512 * 8, { windowsize: '4' });
    const held: Uint8Array[] = [];
    socket.sendToPeer = (packed) => held.push(packed);
    sender.send(1, 4);
    const before = Buffer.from(held[0]!);
    socket.pendingSends = 1;
    sender.send(5, 8);
    expect(before.equals(held[0]!)).toBe(true);
  });
});

describe('segmentSizeFor', () => {
  it('asks for segments only where a window is wider than a block, and an OACK cannot be cut', () => {
    const plan = (options: Record<string, string>, size = 100_000) =>
      segmentSizeFor(planTransfer(new Map(Object.entries(options)), size, someLimits()));
    expect(plan({ blksize: '1468', windowsize: '4' })).toBe(1472);
    expect(plan({ blksize: '1468' })).toBeUndefined();
    expect(plan({ blksize: '100', windowsize: '4' })).toBeUndefined();
    expect(plan({ windowsize: '4' }, 300)).toBeUndefined();
  });
});
