// One read transfer as a pure state machine (RFC 1350, 2347, 7440): event in, new state and what to do out. No clock, no socket,
// no file. Blocks are counted from 1 without end and compared with the wire modulo 65536: after 65535 comes 0, as nearly all
// clients have it (no RFC says so).
// A new state is made once per ACK, that is once per window, never per block.
import { planTransfer } from './tftp-options.ts';
import type { TransferLimits, TransferPlan } from './tftp-options.ts';
import type { TftpRequest } from '../protocol/tftp/packet.ts';

export interface TransferState {
  readonly plan: TransferPlan;
  /** negotiating: the OACK is out and its ACK 0 has not come. */
  readonly phase: 'negotiating' | 'sending' | 'ended';
  /** Every block up to this one has arrived. */
  readonly acknowledged: number;
  /** Highest block that was sent. */
  readonly sentThrough: number;
  /** What `sentThrough` was each time blocks were sent again, as far as it is above `acknowledged`. */
  readonly resentEdges: readonly number[];
  /** What came before `acknowledged` was sent more than once: the client may answer each copy, so a duplicate ACK says nothing. */
  readonly echoing: boolean;
  /** The client has answered at all since the request. */
  readonly answered: boolean;
  readonly retransmissions: number;
  /** Waited since the last progress. */
  readonly silentMilliseconds: number;
  /** How long to wait for the next ACK, before jitter. */
  readonly waitMilliseconds: number;
}

export type TransferEvent =
  | { readonly kind: 'ack'; readonly block: number }
  | { readonly kind: 'error'; readonly code: number }
  | { readonly kind: 'timeout' }
  /** The same request came again from the same port. */
  | { readonly kind: 'request-repeated' }
  /** ICMP says that nobody listens at the client's port any more. */
  | { readonly kind: 'unreachable' };

export type TransferEnd = 'completed' | 'probed' | 'aborted' | 'timed-out';

/** `wait` sends nothing and leaves the timer running; after the sending ones it starts anew with `waitMilliseconds`. */
type TransferAction =
  | { readonly kind: 'send-option-ack' }
  | { readonly kind: 'send-blocks'; readonly from: number; readonly through: number }
  | { readonly kind: 'wait' }
  | { readonly kind: 'end'; readonly outcome: TransferEnd; readonly reason: string };

export interface TransferStep {
  readonly state: TransferState;
  readonly action: TransferAction;
}

const WAIT: TransferAction = { kind: 'wait' };
const SEND_OPTION_ACK: TransferAction = { kind: 'send-option-ack' };

/** The first step: an OACK where an option was accepted, else the first window. */
export function createTransfer(request: TftpRequest, sizeBytes: number, limits: TransferLimits): TransferStep {
  const plan = planTransfer(request.options, sizeBytes, limits);
  const state: TransferState = {
    plan,
    phase: plan.optionAck === undefined ? 'sending' : 'negotiating',
    acknowledged: 0,
    sentThrough: 0,
    resentEdges: [],
    echoing: false,
    answered: false,
    retransmissions: 0,
    silentMilliseconds: 0,
    waitMilliseconds: plan.limits.firstWaitMilliseconds,
  };
  return state.phase === 'negotiating' ? { state, action: SEND_OPTION_ACK } : sendWindow(state);
}

export function stepTransfer(state: TransferState, event: TransferEvent): TransferStep {
  if (state.phase === 'ended') return { state, action: WAIT };
  switch (event.kind) {
    case 'ack':
      return onAck(state, event.block);
    case 'error':
      return onError(state, event.code);
    case 'timeout':
      return onTimeout(state);
    case 'request-repeated':
      // Our first answer was lost. Once the client has answered, a repeated request is an old one that was late.
      return state.answered ? { state, action: WAIT } : sendAgain(state);
    case 'unreachable':
      return onUnreachable(state);
  }
}

/** Bytes that the client is known to have. */
export function deliveredBytes(state: TransferState): number {
  return Math.min(state.plan.sizeBytes, state.acknowledged * state.plan.blockSize);
}

/** A wait with ±10 % of jitter, so that a rack which lost power does not retransmit in step; `random` is in [0, 1]. */
export function jitter(milliseconds: number, random: number): number {
  return Math.round(milliseconds * (0.9 + 0.2 * random));
}

function onAck(state: TransferState, block: number): TransferStep {
  if (state.phase === 'negotiating') {
    if (block !== 0) return { state, action: WAIT };
    return sendWindow({ ...progressed(state), phase: 'sending' });
  }
  const advance = (block - state.acknowledged) & 0xffff;
  const acknowledged = state.acknowledged + advance;
  // An old ACK that was late, or one for a block that was never sent.
  if (acknowledged > state.sentThrough) return { state, action: WAIT };
  if (advance === 0) return onDuplicateAck(state);
  if (acknowledged === state.plan.lastBlock) {
    return end({ ...state, acknowledged }, 'completed', 'last block acknowledged');
  }
  const resentEdges = state.resentEdges.filter((edge) => edge > acknowledged);
  const advanced = { ...progressed(state), acknowledged, resentEdges, echoing: state.resentEdges.length > 0 };
  if (acknowledged === state.sentThrough) return sendWindow(advanced);
  // All that was sent before we went back has arrived, so that was needless: this ACK answers a second copy, and what went out
  // since is on its way. Going back for it would make the next needless copies, and so on to the end of the file.
  if (state.resentEdges.includes(acknowledged)) return sendOnwards(advanced);
  // RFC 7440 §4: an ACK inside the window means that the block after it was lost; go back to there.
  return sendWindow(goingBack(advanced));
}

/**
 * Sorcerer's Apprentice (RFC 1123 §4.2.3.1): a duplicate ACK does not cause DATA to be sent again; the timer does. Only where
 * the window is wider than a block may it mean that the window's first block was lost. It is taken so once for each edge, and
 * not where it may echo blocks that were themselves sent twice: else every window would be sent twice to the end.
 */
function onDuplicateAck(state: TransferState): TransferStep {
  if (state.plan.windowSize === 1 || state.resentEdges.length > 0 || state.echoing) return { state, action: WAIT };
  return sendWindow(goingBack(state));
}

function onError(state: TransferState, code: number): TransferStep {
  // Firmware asks for the size, reads it from the OACK and aborts: EDK2 with code 8, several ROMs with 0. Not a failure.
  if (isProbe(state) && (code === 0 || code === 8)) return end(state, 'probed', 'client wanted the size only');
  return end(state, 'aborted', `client sent error ${code}`);
}

function onUnreachable(state: TransferState): TransferStep {
  if (awaitsFinalAck(state)) return end(state, 'completed', 'client closed after the last block');
  if (isProbe(state)) return end(state, 'probed', 'client closed after the size');
  return end(state, 'aborted', 'client port is closed');
}

function onTimeout(state: TransferState): TransferStep {
  const { limits } = state.plan;
  const silentMilliseconds = state.silentMilliseconds + state.waitMilliseconds;
  if (state.retransmissions >= limits.maximumRetransmissions || silentMilliseconds >= limits.patienceMilliseconds) {
    // RFC 1350 §6: the last ACK may get lost after the client has finished and left.
    return awaitsFinalAck(state)
      ? end(state, 'completed', 'last block not acknowledged')
      : end(state, 'timed-out', 'client fell silent');
  }
  return sendAgain({
    ...state,
    silentMilliseconds,
    retransmissions: state.retransmissions + 1,
    waitMilliseconds: Math.min(state.waitMilliseconds * 2, limits.maximumWaitMilliseconds),
  });
}

function sendAgain(state: TransferState): TransferStep {
  if (state.phase === 'negotiating') return { state: { ...state, echoing: true }, action: SEND_OPTION_ACK };
  return sendWindow(goingBack(state));
}

/** The whole window after the last ACK. */
function sendWindow(state: TransferState): TransferStep {
  return sendThroughWindow(state, state.acknowledged + 1);
}

/** What of the window has not been sent yet. */
function sendOnwards(state: TransferState): TransferStep {
  return sendThroughWindow(state, state.sentThrough + 1);
}

function sendThroughWindow(state: TransferState, from: number): TransferStep {
  const through = Math.min(state.acknowledged + state.plan.windowSize, state.plan.lastBlock);
  if (from > through) return { state, action: WAIT };
  return { state: { ...state, sentThrough: through }, action: { kind: 'send-blocks', from, through } };
}

function progressed(state: TransferState): TransferState {
  return {
    ...state,
    answered: true,
    retransmissions: 0,
    silentMilliseconds: 0,
    waitMilliseconds: state.plan.limits.firstWaitMilliseconds,
  };
}

function awaitsFinalAck(state: TransferState): boolean {
  return state.answered && state.sentThrough === state.plan.lastBlock;
}

function goingBack(state: TransferState): TransferState {
  if (state.resentEdges.includes(state.sentThrough)) return state;
  return { ...state, resentEdges: [...state.resentEdges, state.sentThrough] };
}

function isProbe(state: TransferState): boolean {
  return state.plan.sizeAsked && state.acknowledged === 0;
}

function end(state: TransferState, outcome: TransferEnd, reason: string): TransferStep {
  return { state: { ...state, phase: 'ended' }, action: { kind: 'end', outcome, reason } };
}
