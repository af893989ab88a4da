import { describe, expect, it } from 'vitest';
import { createTransfer, deliveredBytes, jitter, stepTransfer } from '../../../src/boot/tftp-transfer.ts';
import type { TransferEvent, TransferStep } from '../../../src/boot/tftp-transfer.ts';
import { aRequest, someLimits } from '../../support/tftp-builders.ts';

const ack = (block: number): TransferEvent => ({ kind: 'ack', block });
const timeout: TransferEvent = { kind: 'timeout' };

/** Feeds events to a transfer and keeps what it did; blocks read as `from-through`. */
class Script {
  step: TransferStep;

  constructor(options: Record<string, string>, sizeBytes: number) {
    this.step = createTransfer(aRequest(options), sizeBytes, someLimits());
  }

  get did(): string {
    const { action } = this.step;
    if (action.kind === 'send-blocks') return `${action.from}-${action.through}`;
    return action.kind === 'end' ? action.outcome : action.kind;
  }

  on(...events: readonly TransferEvent[]): string {
    for (const event of events) this.step = stepTransfer(this.step.state, event);
    return this.did;
  }
}

const windowed = (sizeBytes: number): Script => new Script({ blksize: '512', windowsize: '4' }, sizeBytes);

describe('createTransfer', () => {
  it('answers a request without options with DATA 1 (RFC 1350 §4)', () => {
    expect(new Script({}, 2000).did).toBe('1-1');
  });

  it('answers options with an OACK and sends nothing else before its ACK 0 (RFC 2347)', () => {
    const script = new Script({ tsize: '0' }, 2000);
    expect(script.did).toBe('send-option-ack');
    expect(script.on(ack(1))).toBe('wait');
    expect(script.on(ack(0))).toBe('1-1');
  });
});

describe('stepTransfer in lock-step', () => {
  it('sends one block per ACK and ends with the ACK of the short one', () => {
    const script = new Script({}, 1025);
    expect(script.on(ack(1))).toBe('2-2');
    expect(script.on(ack(2))).toBe('3-3');
    expect(script.on(ack(3))).toBe('completed');
    expect(deliveredBytes(script.step.state)).toBe(1025);
  });

  it('ends a file that is a multiple of the block size with an empty block (RFC 1350 §6)', () => {
    const script = new Script({}, 1024);
    expect(script.on(ack(1), ack(2))).toBe('3-3');
    expect(script.on(ack(3))).toBe('completed');
  });

  it("never sends DATA for a duplicate ACK (Sorcerer's Apprentice, RFC 1123 §4.2.3.1)", () => {
    const script = new Script({}, 5000);
    expect(script.on(ack(1))).toBe('2-2');
    expect(script.on(ack(1))).toBe('wait');
    expect(script.on(ack(1))).toBe('wait');
    expect(script.on(ack(2))).toBe('3-3');
    expect(script.on(ack(1))).toBe('wait');
  });

  it('ignores an ACK of a block that was not sent', () => {
    expect(new Script({}, 5000).on(ack(7))).toBe('wait');
  });

  it('goes on from block 65535 to block 0 on the wire', () => {
    const script = new Script({}, 512 * 70_000);
    for (let block = 1; block <= 65_535; block++) script.on(ack(block));
    expect(script.did).toBe('65536-65536');
    expect(script.on(ack(0))).toBe('65537-65537');
    expect(script.on(ack(1))).toBe('65538-65538');
  });
});

describe('stepTransfer with a window (RFC 7440)', () => {
  it('sends a whole window per ACK of its edge', () => {
    const script = windowed(512 * 9);
    expect(script.on(ack(0))).toBe('1-4');
    expect(script.on(ack(4))).toBe('5-8');
    expect(script.on(ack(8))).toBe('9-10');
    expect(script.on(ack(10))).toBe('completed');
  });

  it('goes on at ACK + 1 after an ACK inside the window', () => {
    expect(windowed(512 * 20).on(ack(0), ack(4), ack(6))).toBe('7-10');
  });

  it('restarts once however often EDK2 repeats the ACK for the blocks behind a lost one', () => {
    const script = windowed(512 * 20);
    expect(script.on(ack(0), ack(1))).toBe('2-5');
    expect(script.on(ack(1))).toBe('wait');
    expect(script.on(ack(1))).toBe('wait');
    expect(script.on(ack(5))).toBe('6-9');
  });

  it('takes a duplicate ACK of the edge as the loss of the first block, once', () => {
    const script = windowed(512 * 20);
    expect(script.on(ack(0), ack(4), ack(4))).toBe('5-8');
    expect(script.on(ack(4))).toBe('wait');
  });

  it('does not take the echo of a window that was sent twice for a loss, or all would be sent twice to the end', () => {
    const script = windowed(512 * 20);
    expect(script.on(ack(0), ack(4), ack(4))).toBe('5-8');
    expect(script.on(ack(8))).toBe('9-12');
    expect(script.on(ack(8))).toBe('wait');
    expect(script.on(ack(12))).toBe('13-16');
    expect(script.on(ack(12))).toBe('13-16');
  });

  it('sends only what is new when an ACK shows that going back was needless: EDK2 acknowledges each second copy', () => {
    const script = windowed(512 * 20);
    // Block 1 came twice: the ACK of its second copy looks as if 2 had been lost.
    expect(script.on(ack(0), ack(1))).toBe('2-5');
    // First copies up to 4 arrived, then the second of 2.
    expect(script.on(ack(4))).toBe('6-8');
    expect(script.on(ack(4), ack(4))).toBe('wait');
    expect(script.on(ack(8))).toBe('9-12');
  });

  it('does not take a second ACK 0 for a loss when the OACK was sent twice', () => {
    const script = windowed(512 * 20);
    expect(script.on(timeout)).toBe('send-option-ack');
    expect(script.on(ack(0))).toBe('1-4');
    expect(script.on(ack(0))).toBe('wait');
  });

  it('ignores an ACK that was overtaken', () => {
    expect(windowed(512 * 20).on(ack(0), ack(4), ack(8), ack(6))).toBe('wait');
  });

  it('sends the window again from the last ACK on the timer', () => {
    expect(windowed(512 * 20).on(ack(0), ack(4), timeout)).toBe('5-8');
  });
});

describe('stepTransfer and time', () => {
  it('waits 1, 2, 4, 8, 8 s and a last 8 s, and gives up: about half a minute', () => {
    const script = new Script({}, 5000);
    script.on(ack(1));
    const waits = [script.step.state.waitMilliseconds];
    while (script.on(timeout) !== 'timed-out') waits.push(script.step.state.waitMilliseconds);
    expect(waits).toEqual([1000, 2000, 4000, 8000, 8000, 8000]);
  });

  it('starts with the timeout that was agreed (RFC 2349)', () => {
    expect(new Script({ timeout: '3' }, 5000).step.state.waitMilliseconds).toBe(3000);
  });

  it('starts over after progress', () => {
    const script = new Script({}, 5000);
    script.on(ack(1), timeout, timeout, timeout, ack(2));
    expect(script.step.state).toMatchObject({ waitMilliseconds: 1000, retransmissions: 0, silentMilliseconds: 0 });
  });

  it('does not take a duplicate ACK for progress', () => {
    const script = new Script({}, 5000);
    script.on(ack(1));
    for (let i = 0; i < 5; i++) script.on(timeout, ack(1));
    expect(script.on(timeout)).toBe('timed-out');
  });

  it('counts a transfer as done when only the last ACK is missing (RFC 1350 §6)', () => {
    const script = new Script({}, 700);
    script.on(ack(1));
    for (let i = 0; i < 5; i++) expect(script.on(timeout)).toBe('2-2');
    expect(script.on(timeout)).toBe('completed');
  });

  it('does not count a transfer as done when the client never answered', () => {
    const script = new Script({}, 100);
    for (let i = 0; i < 5; i++) script.on(timeout);
    expect(script.on(timeout)).toBe('timed-out');
  });

  it('spreads a wait by ten per cent to both sides', () => {
    expect([jitter(1000, 0), jitter(1000, 0.5), jitter(1000, 1)]).toEqual([900, 1000, 1100]);
  });
});

describe('stepTransfer and the client leaving', () => {
  it.each([0, 8])('takes error %i after the size for a probe: EDK2 sends 8, several ROMs 0', (code) => {
    expect(new Script({ tsize: '0' }, 5000).on({ kind: 'error', code })).toBe('probed');
    expect(new Script({ tsize: '0' }, 5000).on(ack(0), { kind: 'error', code })).toBe('probed');
  });

  it('takes any other error, and any error later on, for an abort', () => {
    expect(new Script({ tsize: '0' }, 5000).on({ kind: 'error', code: 4 })).toBe('aborted');
    expect(new Script({ blksize: '512' }, 5000).on({ kind: 'error', code: 8 })).toBe('aborted');
    expect(new Script({ tsize: '0' }, 5000).on(ack(0), ack(1), { kind: 'error', code: 0 })).toBe('aborted');
  });

  it('reads a closed client port by where the transfer stands', () => {
    const gone: TransferEvent = { kind: 'unreachable' };
    expect(new Script({ tsize: '0' }, 5000).on(gone)).toBe('probed');
    expect(new Script({}, 5000).on(ack(1), gone)).toBe('aborted');
    expect(new Script({}, 700).on(ack(1), gone)).toBe('completed');
  });

  it('stays ended', () => {
    const script = new Script({ tsize: '0' }, 5000);
    script.on({ kind: 'error', code: 8 });
    expect(script.on(ack(0), timeout, { kind: 'request-repeated' })).toBe('wait');
  });
});

describe('stepTransfer and a repeated request', () => {
  it('answers it as before until the client has answered, later not at all', () => {
    const again: TransferEvent = { kind: 'request-repeated' };
    expect(new Script({}, 5000).on(again)).toBe('1-1');
    const script = new Script({ tsize: '0' }, 5000);
    expect(script.on(again)).toBe('send-option-ack');
    expect(script.on(ack(0), again)).toBe('wait');
  });
});
