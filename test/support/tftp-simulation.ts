// A TFTP transfer in simulated time: the real state machine against a model of a client, over a network that loses, doubles
// and overtakes as it is told. Deterministic: the same fates give the same run.
import { createTransfer, stepTransfer } from '../../src/boot/tftp-transfer.ts';
import type { TransferEnd, TransferEvent, TransferStep } from '../../src/boot/tftp-transfer.ts';
import { aRequest, someLimits } from './tftp-builders.ts';

/** What happens to one packet: how often it arrives, and how much later than it could. */
export interface Fate {
  readonly copies: 0 | 1 | 2;
  readonly delayMilliseconds: number;
}

export interface Simulation {
  readonly content: Uint8Array;
  readonly options: Record<string, string>;
  /** Used one after the other for packets of both directions; then the network is perfect. */
  readonly fates: readonly Fate[];
  /** eager: an ACK for every unexpected block, as EDK2 does; once: one ACK for each gap. */
  readonly client: 'eager' | 'once';
}

export interface SimulationResult {
  readonly serverEnd: { readonly outcome: TransferEnd; readonly reason: string } | undefined;
  readonly received: Uint8Array;
  readonly clientDone: boolean;
  readonly blocksSent: number;
  /** Broken promises of the sender, in words. */
  readonly violations: readonly string[];
}

interface DataBlock {
  readonly block: number;
  readonly payload: Uint8Array;
}

const LATENCY_MILLISECONDS = 1;
const CLIENT_TIMEOUT_MILLISECONDS = 1000;
const CLIENT_TRIES = 8;

export function simulate(simulation: Simulation): SimulationResult {
  const world = new World(simulation.fates);
  const client = new Client(world, simulation.client);
  const server = new Server(world, simulation, client);
  client.server = server;
  server.perform(server.first);
  client.armTimer();
  world.run();
  return {
    serverEnd: server.end,
    received: Buffer.concat(client.received),
    clientDone: client.done,
    blocksSent: server.blocksSent,
    violations: server.violations,
  };
}

interface Appointment {
  readonly at: number;
  readonly run: () => void;
}

/** Packets on their way, in the order of arrival, and one timer for each end. */
class World {
  private readonly fates: readonly Fate[];
  private readonly packets: Appointment[] = [];
  private readonly timers = new Map<object, Appointment>();
  private used = 0;
  private now = 0;

  constructor(fates: readonly Fate[]) {
    this.fates = fates;
  }

  /** Replaces the owner's timer. */
  setTimer(owner: object, delay: number, run: () => void): void {
    this.timers.set(owner, { at: this.now + delay, run });
  }

  stopTimer(owner: object): void {
    this.timers.delete(owner);
  }

  transmit(deliver: () => void): void {
    const fate = this.fates[this.used++] ?? { copies: 1, delayMilliseconds: 0 };
    for (let copy = 0; copy < fate.copies; copy++) {
      const at = this.now + LATENCY_MILLISECONDS + fate.delayMilliseconds;
      const later = this.packets.findIndex((packet) => packet.at > at);
      this.packets.splice(later === -1 ? this.packets.length : later, 0, { at, run: deliver });
    }
  }

  run(): void {
    for (let next = this.takeNext(); next !== undefined; next = this.takeNext()) {
      this.now = next.at;
      next.run();
    }
  }

  private takeNext(): Appointment | undefined {
    let owner: object | undefined;
    let first = this.packets[0];
    for (const [timerOwner, timer] of this.timers) {
      if (first === undefined || timer.at < first.at) [owner, first] = [timerOwner, timer];
    }
    if (owner === undefined) this.packets.shift();
    else this.timers.delete(owner);
    return first;
  }
}

class Server {
  readonly first: TransferStep;
  readonly violations: string[] = [];
  end: { readonly outcome: TransferEnd; readonly reason: string } | undefined;
  blocksSent = 0;
  private readonly world: World;
  private readonly content: Uint8Array;
  private readonly client: Client;
  private state: TransferStep['state'];
  private heardAck = 0;

  constructor(world: World, simulation: Simulation, client: Client) {
    this.world = world;
    this.content = simulation.content;
    this.client = client;
    this.first = createTransfer(aRequest(simulation.options), simulation.content.length, someLimits());
    this.state = this.first.state;
    client.windowSize = this.state.plan.windowSize;
    client.blockSize = this.state.plan.blockSize;
  }

  receive(event: TransferEvent): void {
    if (event.kind === 'ack') {
      const advance = (event.block - this.heardAck) & 0xffff;
      if (advance < 0x8000) this.heardAck += advance;
    }
    this.perform(stepTransfer(this.state, event));
  }

  perform({ state, action }: TransferStep): void {
    this.state = state;
    if (action.kind === 'wait') return;
    if (action.kind === 'end') {
      this.end ??= action;
      this.world.stopTimer(this);
      return;
    }
    this.world.setTimer(this, state.waitMilliseconds, () => {
      this.receive({ kind: 'timeout' });
    });
    if (action.kind === 'send-option-ack') {
      this.world.transmit(() => {
        this.client.receiveOptionAck();
      });
      return;
    }
    for (let block = action.from; block <= action.through; block++) this.sendBlock(block);
  }

  private sendBlock(block: number): void {
    const { plan } = this.state;
    this.blocksSent += 1;
    if (block > plan.lastBlock) this.violations.push(`block ${block} is past the last one`);
    if (block > this.heardAck + plan.windowSize) this.violations.push(`block ${block} is outside the window`);
    const payload = this.content.subarray((block - 1) * plan.blockSize, block * plan.blockSize);
    this.world.transmit(() => {
      this.client.receiveData({ block: block & 0xffff, payload });
    });
  }
}

class Client {
  readonly received: Uint8Array[] = [];
  server: Server | undefined;
  windowSize = 1;
  blockSize = 512;
  done = false;
  private readonly world: World;
  private readonly kind: 'eager' | 'once';
  private expected = 1;
  private inWindow = 0;
  private gapReported = false;
  private started = false;
  private tries = 0;

  constructor(world: World, kind: 'eager' | 'once') {
    this.world = world;
    this.kind = kind;
  }

  receiveOptionAck(): void {
    this.started = true;
    if (this.expected === 1) this.acknowledge();
  }

  receiveData({ block, payload }: DataBlock): void {
    this.started = true;
    this.armTimer();
    if (block !== (this.expected & 0xffff) || this.done) {
      this.onUnexpected(block);
      return;
    }
    this.tries = 0;
    this.received.push(payload);
    this.expected += 1;
    this.inWindow += 1;
    this.gapReported = false;
    this.done = payload.length < this.blockSize;
    if (this.done || this.inWindow >= this.windowSize) this.acknowledge();
  }

  armTimer(): void {
    this.world.setTimer(this, CLIENT_TIMEOUT_MILLISECONDS, () => {
      if (this.done || ++this.tries > CLIENT_TRIES) return;
      if (this.started) this.acknowledge();
      else this.transmit({ kind: 'request-repeated' });
      this.armTimer();
    });
  }

  private onUnexpected(block: number): void {
    // A client that is done still answers a copy of the last block for a while (RFC 1350 §6).
    const isLast = this.done && block === ((this.expected - 1) & 0xffff);
    if (isLast || (!this.done && (this.kind === 'eager' || !this.gapReported))) this.acknowledge();
    this.gapReported = true;
  }

  private acknowledge(): void {
    this.inWindow = 0;
    this.transmit({ kind: 'ack', block: (this.expected - 1) & 0xffff });
  }

  private transmit(event: TransferEvent): void {
    this.world.transmit(() => {
      this.server?.receive(event);
    });
  }
}
