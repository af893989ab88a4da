// Builders for TFTP tests: valid defaults, so that a test shows only what it is about.
import { DEFAULT_TRANSFER_LIMITS } from '../../src/boot/tftp-options.ts';
import type { TransferLimits } from '../../src/boot/tftp-options.ts';
import type { TftpRequest } from '../../src/protocol/tftp/packet.ts';

export function aRequest(options: Record<string, string> = {}, changes: Partial<TftpRequest> = {}): TftpRequest {
  return {
    kind: 'read-request',
    name: 'loader.efi',
    mode: 'octet',
    options: new Map(Object.entries(options)),
    ...changes,
  };
}

/** The limits on an Ethernet of MTU 1500. */
export function someLimits(changes: Partial<TransferLimits> = {}): TransferLimits {
  return { ...DEFAULT_TRANSFER_LIMITS, maximumBlockSize: 1468, ...changes };
}
