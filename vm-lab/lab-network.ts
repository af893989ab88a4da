// The lab's network: three namespaces of one run around a bridge, with no way out. `lan` holds the bridge and the machines,
// `dhcp` a plain DHCP server that knows nothing of netboot, as a site's router would, and `srv` is where Muster runs.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { identifyProcess, isRunning, stopProcess, type ProcessIdentity } from './process-identity.ts';
import type { RunFolder } from './run-folder.ts';

export type LabRole = 'lan' | 'dhcp' | 'srv';

export const SERVER_ADDRESS = '10.77.0.3';
const ROUTER_ADDRESS = '10.77.0.2';
const NAMESPACE_LIMIT_SECONDS = 30;

/** A process of the run. It has its own session, so that Ctrl-C in the terminal reaches the lab and not the machines. */
export interface LabProcess {
  readonly identity: ProcessIdentity;
  readonly child: ChildProcess;
  readonly logFile: string;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly name: string;
  /** `host` is outside of all namespaces. */
  readonly role: LabRole | 'host';
  readonly command: readonly [string, ...string[]];
  readonly environment?: Readonly<Record<string, string>>;
  readonly workingDirectory?: string;
}

export class LabNetwork {
  readonly run: RunFolder;
  private taps = 0;

  private constructor(run: RunFolder) {
    this.run = run;
  }

  static async create(run: RunFolder): Promise<LabNetwork> {
    const network = new LabNetwork(run);
    for (const role of ['lan', 'dhcp', 'srv'] as const) network.makeNamespace(role);
    network.ip('lan', 'link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0');
    network.ip('lan', 'link set br0 up');
    network.plugIn('dhcp', [`${ROUTER_ADDRESS}/24`, 'fd77::2/64']);
    network.plugIn('srv', [`${SERVER_ADDRESS}/24`]);
    await network.startPlainDhcp();
    return network;
  }

  namespace(role: LabRole): string {
    return `muster-${this.run.runId}-${role}`;
  }

  /** A new port on the bridge for a machine; answers the name of the tap. */
  addTap(): string {
    const tap = `tap${this.taps++}`;
    this.ip('lan', `tuntap add dev ${tap} mode tap`);
    this.ip('lan', `link set ${tap} master br0 up`);
    return tap;
  }

  removeTap(tap: string): void {
    this.ip('lan', `link delete ${tap}`);
  }

  /** The words in front of a command that runs in a namespace. */
  enter(role: LabRole): readonly [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.namespace(role)];
  }

  /** Starts a process in a namespace, its output appended to `<name>.log` of the run; it outlives this process. */
  start(options: StartOptions): LabProcess {
    const logFile = this.run.file(`${options.name}.log`);
    const log = openSync(logFile, 'a');
    const [program, ...words]: readonly [string, ...string[]] =
      options.role === 'host' ? options.command : [...this.enter(options.role), ...options.command];
    const child = spawn(program, words, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...plainEnvironment(), ...options.environment, ...this.run.environmentMark },
      cwd: options.workingDirectory,
    });
    closeSync(log);
    child.unref();
    const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
    if (identity === undefined) throw new Error(`${options.name} did not start: ${options.command.join(' ')}`);
    this.run.recordProcess(options.name, identity);
    return { identity, child, logFile, stop: () => stopProcess(identity) };
  }

  /** What the plain DHCP server saw: one line per packet. */
  get dhcpLog(): string {
    return readFileSync(this.run.file('dnsmasq.log'), 'utf8');
  }

  private makeNamespace(role: LabRole): void {
    const name = this.namespace(role);
    this.run.recordNamespace(name);
    runOrThrow(['ip', 'netns', 'add', name]);
    this.ip(role, 'link set lo up');
    // The plain DHCP server's router advertisements are for the machines: no namespace gets a default route from them.
    runOrThrow([...this.enter(role), 'sh', '-c', 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_ra']);
  }

  private plugIn(role: LabRole, addresses: readonly string[]): void {
    this.ip('lan', `link add v${role} type veth peer name eth0 netns ${this.namespace(role)}`);
    this.ip('lan', `link set v${role} master br0 up`);
    for (const address of addresses)
      this.ip(role, `address add ${address} dev eth0${address.includes(':') ? ' nodad' : ''}`);
    this.ip(role, 'link set eth0 up');
  }

  /** A router that gives leases and sends IPv6 router advertisements. Without them iPXE waits 15 s for one (ipv6conf). */
  private async startPlainDhcp(): Promise<void> {
    const configuration = this.run.file('dnsmasq.conf');
    writeFileSync(
      configuration,
      [
        'port=0',
        'interface=eth0',
        'bind-interfaces',
        'dhcp-range=10.77.0.100,10.77.0.199,255.255.255.0,1h',
        `dhcp-option=option:router,${ROUTER_ADDRESS}`,
        'dhcp-range=fd77::100,fd77::1ff,64,1h',
        'enable-ra',
        // Else dnsmasq pings an address for 3 s before it offers it.
        'no-ping',
        'log-dhcp',
        `dhcp-leasefile=${this.run.file('dnsmasq.leases')}`,
        '',
      ].join('\n'),
    );
    const dnsmasq = this.start({
      name: 'dnsmasq',
      role: 'dhcp',
      command: [
        'dnsmasq',
        '--keep-in-foreground',
        '--log-facility=-',
        '--user=root',
        '--pid-file=',
        `--conf-file=${configuration}`,
      ],
    });
    const deadline = performance.now() + NAMESPACE_LIMIT_SECONDS * 1_000;
    while (!(existsSync(dnsmasq.logFile) && this.dhcpLog.includes('IP range 10.77.0.100'))) {
      if (!isRunning(dnsmasq.identity) || performance.now() > deadline) {
        throw new Error(`the plain DHCP server did not start: ${this.dhcpLog}`);
      }
      await sleep(50);
    }
  }

  private ip(role: LabRole, words: string): void {
    runOrThrow(['ip', '-n', this.namespace(role), ...words.split(' ')]);
  }
}

/** The caller's environment without settings of a Muster of their own, which would win over the lab's settings file. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MUSTER_')));
}

function runOrThrow(command: readonly [string, ...string[]]): void {
  const [program, ...words] = command;
  const result = spawnSync(program, words, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${command.join(' ')}: ${result.error?.message ?? result.stderr.trim()}`);
}
