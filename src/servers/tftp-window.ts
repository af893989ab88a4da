// Packs DATA blocks of one transfer and hands them to its socket: header and payload side by side in one buffer that lives as
// long as the transfer, a whole window in one send where the kernel cuts it up (UDP_SEGMENT), else one send for each block.
import { DATA_HEADER_BYTES, Opcode } from '../protocol/tftp/packet.ts';
import type { TransferPlan } from '../boot/tftp-options.ts';
import type { UdpSocket } from '../platform/udp-socket.ts';
import type { TransferContent } from './tftp-content.ts';

// Linux takes at most 64 segments (UDP_MAX_SEGMENTS) and one datagram's worth of bytes in a send.
const MAXIMUM_SEGMENTS = 64;
const MAXIMUM_SEND_BYTES = 65_507;

/** Below this block size an OACK or an ERROR would itself be cut up; such a transfer gains nothing anyway. */
const MINIMUM_SEGMENTED_BLOCK_SIZE = 512;

/** The segment size to open a transfer's socket with; undefined where segmentation is of no use. */
export function segmentSizeFor(plan: TransferPlan): number | undefined {
  return plan.windowSize > 1 && plan.lastBlock > 1 && plan.blockSize >= MINIMUM_SEGMENTED_BLOCK_SIZE
    ? plan.blockSize + DATA_HEADER_BYTES
    : undefined;
}

export class WindowSender {
  private readonly socket: UdpSocket;
  private readonly content: TransferContent;
  private readonly blockSize: number;
  private readonly batchBlocks: number;
  private readonly buffer: Buffer;

  constructor(socket: UdpSocket, content: TransferContent, plan: TransferPlan) {
    this.socket = socket;
    this.content = content;
    this.blockSize = plan.blockSize;
    const packetBytes = plan.blockSize + DATA_HEADER_BYTES;
    const fitting = Math.min(MAXIMUM_SEGMENTS, Math.floor(MAXIMUM_SEND_BYTES / packetBytes));
    this.batchBlocks = Math.max(1, Math.min(plan.windowSize, plan.lastBlock, fitting));
    this.buffer = Buffer.allocUnsafe(this.batchBlocks * packetBytes);
  }

  /** Sends the blocks, both ends included; their content must be at hand. */
  send(from: number, through: number): void {
    for (let block = from; block <= through; block += this.batchBlocks) {
      const last = Math.min(block + this.batchBlocks - 1, through);
      // The socket's buffer was full and Node still holds our bytes: they must stay as they are.
      const target = this.socket.pendingSends === 0 ? this.buffer : Buffer.allocUnsafe(this.buffer.length);
      this.transmit(target, this.pack(target, block, last));
    }
  }

  private pack(target: Buffer, from: number, through: number): number {
    let position = 0;
    for (let block = from; block <= through; block++) {
      const start = (block - 1) * this.blockSize;
      const end = Math.min(start + this.blockSize, this.content.sizeBytes);
      target[position] = 0;
      target[position + 1] = Opcode.Data;
      target[position + 2] = block >>> 8;
      target[position + 3] = block;
      position += DATA_HEADER_BYTES;
      this.content.copy(target, position, start, end);
      position += end - start;
    }
    return position;
  }

  private transmit(packed: Buffer, length: number): void {
    if (this.socket.segmenting) {
      this.socket.sendToPeer(length === packed.length ? packed : packed.subarray(0, length));
      return;
    }
    const packetBytes = this.blockSize + DATA_HEADER_BYTES;
    for (let start = 0; start < length; start += packetBytes) {
      this.socket.sendToPeer(packed.subarray(start, Math.min(start + packetBytes, length)));
    }
  }
}
