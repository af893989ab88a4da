// The real server as a process of its own in the `srv` namespace, started the way a person starts it, with a data folder and
// settings of this run. Can be killed without warning and started again on the same data.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { plainEnvironment, SERVER_ADDRESS, type LabNetwork, type LabProcess } from './lab-network.ts';
import type { ServedRequest } from './judge-registry.ts';
import { MusterClient } from './muster-client.ts';
import { isRunning, signalProcess, waitForExit } from './process-identity.ts';

const PROJECT_DIRECTORY = resolve(import.meta.dirname, '..');
const MAIN = join('src', 'main.ts');
const READY_SECONDS = 60;
const API_URL = `https://${SERVER_ADDRESS}:8443`;
const HEALTH_URL = `http://${SERVER_ADDRESS}:8080/healthz`;

/** Run in the server's namespace: asks until the answer is good or the time is over. */
const WAIT_UNTIL_READY = `
  const [url, milliseconds] = process.argv.slice(1);
  const deadline = Date.now() + Number(milliseconds);
  const ready = () => fetch(url).then((answer) => answer.ok, () => false);
  while (!(await ready())) {
    if (Date.now() > deadline) process.exit(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }`;

const requestLine = z.object({
  msg: z.literal('request'),
  method: z.string(),
  path: z.string(),
  status: z.number(),
});

export interface MusterOptions {
  readonly profilesDirectory: string;
  readonly cloudConfigDirectory: string;
  readonly unknownMachines: 'discover' | 'enroll';
  /** The section of that name. */
  readonly upgrades?: object;
}

export class MusterProcess {
  readonly client: MusterClient;
  readonly dataDirectory: string;
  private readonly network: LabNetwork;
  private readonly settingsFile: string;
  private server: LabProcess | undefined;

  private constructor(network: LabNetwork, options: MusterOptions) {
    this.network = network;
    this.dataDirectory = network.run.file('data');
    this.settingsFile = network.run.file('muster.yaml');
    writeFileSync(this.settingsFile, JSON.stringify(settingsFor(options, this.dataDirectory), undefined, 2));
    this.client = new MusterClient({
      command: [...network.enter('srv'), ...this.commandLine.command],
      environment: { ...plainEnvironment(), ...this.commandLine.environment },
      workingDirectory: PROJECT_DIRECTORY,
    });
  }

  /** Resolves when the server answers on its boot listener. */
  static async start(network: LabNetwork, options: MusterOptions): Promise<MusterProcess> {
    const muster = new MusterProcess(network, options);
    await muster.start();
    return muster;
  }

  async start(): Promise<void> {
    if (this.running) throw new Error('the server runs already');
    this.server = this.network.start({
      name: 'muster',
      role: 'srv',
      command: [process.execPath, MAIN, 'serve', '--config', this.settingsFile],
      workingDirectory: PROJECT_DIRECTORY,
    });
    await this.waitUntilReady(this.server);
  }

  /** SIGKILL: nothing of the server gets to run after it. */
  async kill9(): Promise<void> {
    if (this.server === undefined) throw new Error('the server was not started');
    signalProcess(this.server.identity, 'SIGKILL');
    await waitForExit(this.server.identity, 5_000);
  }

  async stop(): Promise<void> {
    await this.server?.stop();
  }

  get running(): boolean {
    return this.server !== undefined && isRunning(this.server.identity);
  }

  /** How the command line is called against this server, from its namespace. */
  get commandLine(): { readonly command: readonly string[]; readonly environment: Readonly<Record<string, string>> } {
    return {
      command: [process.execPath, join(PROJECT_DIRECTORY, MAIN)],
      environment: {
        MUSTER_URL: API_URL,
        MUSTER_TOKEN_FILE: join(this.dataDirectory, 'admin-token'),
        MUSTER_CA_FILE: join(this.dataDirectory, 'ca.pem'),
      },
    };
  }

  logTail(lines = 30): string {
    return this.log.slice(-lines).join('\n');
  }

  /** Every request that the server has answered, in order, over all its lives. */
  get requests(): readonly ServedRequest[] {
    return this.log.flatMap((line) => {
      const request = requestLine.safeParse(tryJson(line));
      return request.success ? [request.data] : [];
    });
  }

  private get log(): readonly string[] {
    return this.server === undefined ? [] : readFileSync(this.server.logFile, 'utf8').trim().split('\n');
  }

  private async waitUntilReady(server: LabProcess): Promise<void> {
    const [program, ...words] = this.network.enter('srv');
    const waiter = spawn(
      program,
      [
        ...words,
        process.execPath,
        '--input-type=module',
        '-e',
        WAIT_UNTIL_READY,
        HEALTH_URL,
        String(READY_SECONDS * 1_000),
      ],
      { stdio: 'ignore' },
    );
    const watch = setInterval(() => {
      if (!isRunning(server.identity)) waiter.kill();
    }, 200);
    const exitCode = await new Promise<number | null>((resolve) => waiter.once('close', resolve));
    clearInterval(watch);
    if (exitCode === 0) return;
    const what = isRunning(server.identity) ? `was not ready within ${READY_SECONDS} s` : 'ended while it started';
    throw new Error(`the server ${what}; its log:\n${this.logTail()}`);
  }
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** JSON is YAML too. */
function settingsFor(options: MusterOptions, dataDirectory: string): object {
  return {
    dataDirectory,
    interfaces: ['eth0'],
    enrollment: { unknownMachines: options.unknownMachines },
    agent: { heartbeatSeconds: 3 },
    // The page can be reached from outside the namespace through the lab's forwarder.
    api: { names: ['localhost', '127.0.0.1'] },
    ...(options.upgrades !== undefined && { upgrades: options.upgrades }),
    profilesDirectory: options.profilesDirectory,
    cloudConfigDirectory: options.cloudConfigDirectory,
    log: { level: 'debug', format: 'json' },
  };
}
