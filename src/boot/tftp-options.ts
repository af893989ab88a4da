// What a read request's options come to (RFC 2347, 2348, 2349, 7440). Pure: options, file size and limits in, the plan of one
// transfer out. Only options that were asked for are answered, and never with more than was asked: EDK2 calls anything else
// a malformatted OACK and stops with PXE-E23.
import type { TftpOptions } from '../protocol/tftp/packet.ts';

export interface TransferLimits {
  /** Largest payload of a DATA packet; the server sets it to the MTU less the headers. */
  readonly maximumBlockSize: number;
  readonly maximumWindowSize: number;
  /** Bytes in flight, whatever the window size: bounds memory, and the burst that a switch has to buffer. */
  readonly maximumWindowBytes: number;
  readonly firstWaitMilliseconds: number;
  readonly maximumWaitMilliseconds: number;
  readonly maximumRetransmissions: number;
  /** A transfer without progress for so long is given up. */
  readonly patienceMilliseconds: number;
}

export const DEFAULT_TRANSFER_LIMITS: TransferLimits = {
  maximumBlockSize: 65_464,
  maximumWindowSize: 64,
  maximumWindowBytes: 256 * 1024,
  firstWaitMilliseconds: 1000,
  maximumWaitMilliseconds: 8000,
  maximumRetransmissions: 5,
  patienceMilliseconds: 30_000,
};

export interface TransferPlan {
  readonly sizeBytes: number;
  readonly blockSize: number;
  readonly windowSize: number;
  /** Absolute number of the block that ends the file: shorter than blockSize, empty where the size is a multiple of it. */
  readonly lastBlock: number;
  /** What the OACK says; undefined where no option was accepted, so that DATA 1 answers the request. */
  readonly optionAck: TftpOptions | undefined;
  /** The client asked for the size, so it may go away once it has it. */
  readonly sizeAsked: boolean;
  readonly limits: TransferLimits;
}

const DEFAULT_BLOCK_SIZE = 512;
const MINIMUM_BLOCK_SIZE = 8;

/** Plans a transfer. An option that is unknown or makes no sense is left out of the answer, as RFC 2347 has it. */
export function planTransfer(requested: TftpOptions, sizeBytes: number, limits: TransferLimits): TransferPlan {
  const accepted = new Map<string, string>();
  let blockSize = DEFAULT_BLOCK_SIZE;
  let windowSize = 1;
  let firstWaitMilliseconds = limits.firstWaitMilliseconds;

  const askedBlockSize = parseCount(requested.get('blksize'));
  if (askedBlockSize !== undefined && askedBlockSize >= MINIMUM_BLOCK_SIZE) {
    blockSize = Math.min(askedBlockSize, limits.maximumBlockSize);
  }
  const askedWindowSize = parseCount(requested.get('windowsize'));
  if (askedWindowSize !== undefined && askedWindowSize >= 1) {
    const fitting = Math.max(1, Math.floor(limits.maximumWindowBytes / blockSize));
    windowSize = Math.min(askedWindowSize, limits.maximumWindowSize, fitting);
  }

  for (const [name, value] of requested) {
    const count = parseCount(value);
    if (count === undefined) continue;
    if (name === 'blksize' && count >= MINIMUM_BLOCK_SIZE) accepted.set(name, String(blockSize));
    if (name === 'windowsize' && count >= 1) accepted.set(name, String(windowSize));
    if (name === 'tsize') accepted.set(name, String(sizeBytes));
    // RFC 2349 knows 1 to 255 s, to be echoed exactly or left out: longer than our longest wait is left out.
    if (name === 'timeout' && count >= 1 && count * 1000 <= limits.maximumWaitMilliseconds) {
      accepted.set(name, value);
      firstWaitMilliseconds = count * 1000;
    }
  }

  return {
    sizeBytes,
    blockSize,
    windowSize,
    lastBlock: Math.floor(sizeBytes / blockSize) + 1,
    optionAck: accepted.size > 0 ? accepted : undefined,
    sizeAsked: accepted.has('tsize'),
    limits: { ...limits, firstWaitMilliseconds },
  };
}

function parseCount(value: string | undefined): number | undefined {
  return value !== undefined && /^[0-9]{1,15}$/.test(value) ? Number(value) : undefined;
}
