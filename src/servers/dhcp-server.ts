// Answers boot clients beside the site's own DHCP server: on port 67 (RFC 2131) and as PXE boot server on 4011 (PXE 2.1).
// Receives, decodes, asks for the decision, sends. Never throws on a datagram and never leases an address.
import type { Logger } from 'pino';
import type { BootClient, BootPort } from '../boot/identify-client.ts';
import { encodeReply } from '../boot/build-reply.ts';
import { architectureFacts } from '../boot/architecture.ts';
import { decideOffer, type OfferPolicy } from '../boot/decide-offer.ts';
import { identifyClient } from '../boot/identify-client.ts';
import { replyRoute, type Endpoint } from '../boot/reply-route.ts';
import type { BootSessionService } from '../boot-sessions/boot-session-service.ts';
import type { Clock } from '../clock.ts';
import type { EventRecorder } from '../events/event-recorder.ts';
import { mayBootAtAll, type Machine } from '../machines/machine.ts';
import type { MachineService } from '../machines/machine-service.ts';
import type { NetworkInterface } from '../platform/network-interfaces.ts';
import type { UdpSocket, UdpSocketOptions } from '../platform/udp-socket.ts';

import { DecodeError } from '../protocol/bytes.ts';
import { decodePacket, type DhcpPacket } from '../protocol/dhcp/packet.ts';
import { AnswerLimit } from './answer-limit.ts';

/** Packets that may wait for their decision; what comes on top is dropped, and firmware asks again. */
const IN_FLIGHT_LIMIT = 1000;
/** For one MAC address: firmware asks a handful of times a boot, a broken or hostile one without end. */
const ANSWERS_PER_MINUTE = 60;

export interface DhcpServerParts {
  readonly port: BootPort;
  /** The port number to bind: `port`, but for tests. */
  readonly bindPort: number;
  readonly interfaces: readonly Pick<NetworkInterface, 'name' | 'address'>[];
  readonly openSocket: (options: UdpSocketOptions) => Promise<UdpSocket>;
  readonly machines: MachineService;
  readonly sessions: BootSessionService;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Everything of the policy that is the same for all machines. */
  readonly policy: Pick<OfferPolicy, 'loaders' | 'uefiStrategy'>;
  readonly httpPort: () => number;
}

/** What was not answered, by reason. Counts since the start. */
export type DropCounts = ReadonlyMap<string, number>;

export class DhcpServer {
  readonly #parts: DhcpServerParts;
  readonly #limit: AnswerLimit;
  readonly #warnings: AnswerLimit;
  readonly #dropped = new Map<string, number>();
  #sockets: UdpSocket[] = [];
  #inFlight = 0;

  constructor(parts: DhcpServerParts) {
    this.#parts = parts;
    this.#limit = new AnswerLimit(parts.clock, ANSWERS_PER_MINUTE);
    this.#warnings = new AnswerLimit(parts.clock, 1);
  }

  get dropped(): DropCounts {
    return this.#dropped;
  }

  /** One socket an interface: it hears the broadcasts of that interface alone, and its own go out there. */
  async start(): Promise<void> {
    if (this.#sockets.length > 0) return;
    try {
      for (const { name, address } of this.#parts.interfaces) {
        const socket = await this.#parts.openSocket({
          port: this.#parts.bindPort,
          interfaceName: name,
          broadcast: true,
          // 67 is shared with a DHCP server on the same host that allows it; 4011 is ours alone, since unicast reaches only one.
          reuseAddress: this.#parts.port === 67,
        });
        this.#sockets.push(socket);
        socket.onError((error) => {
          this.#parts.logger.warn({ err: error, interface: name }, 'DHCP socket error');
        });
        socket.onMessage((datagram, from) => {
          this.#receive(datagram, from, { name, address }, socket);
        });
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    const sockets = this.#sockets;
    this.#sockets = [];
    await Promise.all(sockets.map((socket) => socket.close()));
  }

  #receive(datagram: Buffer, from: Endpoint, at: Arrival, socket: UdpSocket): void {
    const packet = this.#decode(datagram);
    if (packet === undefined) return;
    const { port } = this.#parts;
    const client = identifyClient(packet, { port, ownAddresses: [at.address] });
    if (client.kind === 'ignored') {
      this.#drop(client.reason);
      return;
    }
    if (this.#inFlight >= IN_FLIGHT_LIMIT || !this.#limit.allows(client.mac)) {
      this.#drop('too-many-requests');
      return;
    }
    this.#inFlight += 1;
    void this.#answer(packet, client, from, at, socket)
      .catch((error: unknown) => {
        this.#drop('failed');
        this.#parts.logger.error({ err: error, mac: client.mac }, 'no answer to a boot client');
      })
      .finally(() => {
        this.#inFlight -= 1;
      });
  }

  #decode(datagram: Buffer): DhcpPacket | undefined {
    try {
      return decodePacket(datagram);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#drop('malformed');
      return undefined;
    }
  }

  async #answer(packet: DhcpPacket, client: BootClient, from: Endpoint, at: Arrival, socket: UdpSocket): Promise<void> {
    const machine = await this.#parts.machines.observe({
      mac: client.mac,
      ...(client.uuid === undefined ? {} : { uuid: client.uuid }),
      architecture: client.architecture,
      ...(from.address === '0.0.0.0' ? {} : { address: from.address }),
    });
    if (machine === undefined) {
      this.#drop('machine-limit');
      this.#warnOfLimit();
      return;
    }
    const { session, tokens } = await this.#parts.sessions.open(machine, {
      mac: client.mac,
      architecture: client.architecture,
      serverAddress: at.address,
    });
    const base = `http://${at.address}:${this.#parts.httpPort()}/boot/${tokens.script}/`;
    const decision = decideOffer(client, {
      ...this.#parts.policy,
      serverAddress: at.address,
      bootAllowed: mayBootAtAll(machine.state),
      tftpPrefix: `${session.id}/`,
      httpLoaderBase: base,
      scriptUrl: `${base}boot.ipxe`,
    });
    const about = { machineId: machine.id, mac: client.mac, sessionId: session.id };
    this.#parts.events.record({ ...about, ...askedEvent(client, at) });
    switch (decision.kind) {
      case 'silence':
        this.#parts.events.record({ ...about, kind: 'dhcp-silence', details: { reason: silenceReason(machine) } });
        return;
      case 'no-loader': {
        const { architecture } = decision;
        const details = { architecture, architectureNumber: architectureFacts(architecture).id };
        this.#parts.events.record({ ...about, kind: 'dhcp-no-loader', details });
        return;
      }
      case 'offer': {
        const { to } = replyRoute(packet, from, this.#parts.port);
        socket.send(encodeReply(packet, decision.reply), to);
        const details = {
          row: decision.row,
          // The path holds the session's token: what is on record names the file alone.
          file: decision.reply.bootFile.replace(tokens.script, '…'),
          reason: `${client.architecture} asked on ${this.#parts.port}`,
        };
        const kind = decision.reply.messageType === 'offer' ? 'dhcp-offer' : 'dhcp-pxe-ack';
        this.#parts.events.record({ ...about, kind, details });
      }
    }
  }

  /** Once a minute: whoever looks for a machine that gets no answer finds the reason here. */
  #warnOfLimit(): void {
    if (!this.#warnings.allows('machine-limit')) return;
    this.#parts.logger.warn('limits.machines is reached: machines that are not on record get no answer');
  }

  #drop(reason: string): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + 1);
    this.#parts.logger.debug({ reason, port: this.#parts.port }, 'DHCP packet not answered');
  }
}

interface Arrival {
  readonly name: string;
  readonly address: string;
}

function askedEvent(client: BootClient, at: Arrival) {
  const details = {
    client: client.ipxe === undefined ? (client.vendorClass === 'http' ? 'UEFI HTTP Boot' : 'firmware') : 'iPXE',
    architecture: client.architecture,
    interface: at.name,
  };
  return client.messageType === 'discover'
    ? ({ kind: 'dhcp-discover', details } as const)
    : ({ kind: 'dhcp-pxe-request', details } as const);
}

function silenceReason(machine: Machine): string {
  return `the machine is ${machine.state}`;
}
