// The real agent (boot-assets/agent) against a scripted HTTPS server: a folder for its state, a made-up /sys, a made-up
// cloud-init, an authority made with openssl. What a test scripts is an answer per path; what it reads is what was asked.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';

const AGENT = join(import.meta.dirname, '../../boot-assets/agent/muster-agent');
export const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJvbmUifQ.c2lnbmF0dXJl';

export interface AgentRequest {
  readonly path: string;
  readonly form: URLSearchParams;
  readonly authorization: string | undefined;
  /** Serial number of the client certificate, where one was shown that the authority signed. */
  readonly client: string | undefined;
  readonly at: number;
}
export interface ScriptedAnswer {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Close the connection instead: the answer is lost. */
  readonly lost?: boolean;
}
export type Script = (request: AgentRequest) => ScriptedAnswer | Promise<ScriptedAnswer>;

export interface AgentRun {
  readonly pid: number;
  output(): string;
  stop(): Promise<number | null>;
  readonly ended: Promise<number | null>;
}

export class AgentLab {
  readonly directory = mkdtempSync(join(tmpdir(), 'muster-agent-'));
  readonly requests: AgentRequest[] = [];
  /** More words of the kernel command line. */
  kernelWords = '';
  readonly #scripts = new Map<string, Script>();
  readonly #runs: AgentRun[] = [];
  #server: Server | undefined;
  #port = 0;

  constructor() {
    this.#makeAuthority('ca');
    this.#makeServerCertificate('server', 'ca');
    this.#makeMachine();
    this.answer('/ca.pem', () => ({ status: 200, body: this.read('ca.pem') }));
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8');
  }

  write(name: string, text: string): string {
    const path = this.path(name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  answer(path: string, script: Script): void {
    this.#scripts.set(path, script);
  }

  asked(path: string): readonly AgentRequest[] {
    return this.requests.filter((request) => request.path === path);
  }

  /** Signs a request for a certificate with the lab's authority; the lifetime is what the header says, not the certificate. */
  enrolled(request: AgentRequest, lifetimeSeconds = 3600): ScriptedAnswer {
    this.write('request.csr', request.form.get('csr') ?? '');
    const certificate = this.#openssl('x509 -req -in request.csr -CA ca.pem -CAkey ca.key -days 1 -sha256');
    return {
      status: 201,
      body: certificate,
      headers: {
        'x-muster-machine-id': '01J-MACHINE',
        'x-muster-not-after': String(Math.floor(Date.now() / 1000) + lifetimeSeconds),
      },
    };
  }

  /** The public key that a request for a certificate asks one for. */
  publicKeyOf(request: AgentRequest): string {
    this.write('request.csr', request.form.get('csr') ?? '');
    return this.#openssl('req -in request.csr -noout -pubkey');
  }

  /** The answers of a healthy server; `config` is read at each request, so that a test can change it. */
  scriptHealthyServer(config: { text: string; checkFiles?: readonly string[] }): void {
    const digest = (): string => `sha256:${sha256(config.text)}`;
    const desired = (): ScriptedAnswer => ({
      status: 200,
      body: [
        'machine_id=01J-MACHINE',
        'state=enrolled',
        'heartbeat_seconds=1',
        `config_digest=${digest()}`,
        'hostname=node-1',
        ...(config.checkFiles ?? []).map((file) => `check_file=${file}`),
      ].join('\n'),
    });
    this.answer('/api/v1/enroll', (request) => this.enrolled(request));
    this.answer('/api/v1/agent/desired', desired);
    this.answer('/api/v1/agent/heartbeat', desired);
    this.answer('/api/v1/agent/config', () => ({
      status: 200,
      body: config.text,
      headers: { 'x-muster-config-digest': digest() },
    }));
    this.answer('/api/v1/agent/report', () => ({ status: 200, body: 'state=configured\n' }));
    this.answer('/api/v1/agent/event', () => ({ status: 204 }));
  }

  /** What `cloud-init status --long` says from now on. */
  setCloudInit(
    status: string,
    detail = 'DataSourceNoCloudNet [seed=cmdline,http://10.0.0.1/boot/SEEDTOKEN/seed/]',
  ): void {
    this.write('cloud-init-says', `status: ${status}\nboot_status_code: enabled\ndetail:\n${detail}\n`);
    if (status !== 'running') this.write('run-cloud-init/result.json', '{}');
  }

  async listen(certificate = 'server'): Promise<void> {
    const options = {
      key: this.read(`${certificate}.key`),
      cert: this.read(`${certificate}.pem`),
      ca: this.read('ca.pem'),
      requestCert: true,
      rejectUnauthorized: false,
    };
    const server = createServer(options, (request, response) => void this.#serve(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  async stopListening(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  /** Starts the agent as the image does, with delays of milliseconds. */
  startAgent(environment: Readonly<Record<string, string>> = {}, pin = sha256(this.read('ca.pem'))): AgentRun {
    this.write(
      'cmdline',
      `quiet muster.url=https://127.0.0.1:${this.#port} muster.ca=sha256:${pin} root=live:x ${this.kernelWords}\n`,
    );
    const child = spawn(AGENT, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        MUSTER_STATE: this.path('state'),
        MUSTER_TOKEN_FILE: this.path('token'),
        MUSTER_CMDLINE: this.path('cmdline'),
        MUSTER_SYS: this.path('sys'),
        MUSTER_OEM: this.path('oem'),
        MUSTER_RUN: this.path('run'),
        MUSTER_BOOT_FOLDER: this.path('boot'),
        MUSTER_REBOOT: `touch ${this.path('restarted')}`,
        MUSTER_CLOUD_INIT: this.path('cloud-init'),
        MUSTER_CLOUD_INIT_RUN: this.path('run-cloud-init'),
        MUSTER_CLOUD_INIT_DATA: this.path('user-data.txt'),
        MUSTER_CLOUD_INIT_POLL_MS: '50',
        MUSTER_FIRST_DELAY_MS: '40',
        MUSTER_LONGEST_DELAY_MS: '200',
        MUSTER_SHORTEST_RENEWAL_MS: '300',
        MUSTER_ANSWER_SECONDS: '5',
        ...environment,
      },
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += `STDERR ${chunk.toString()}`));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const run: AgentRun = {
      pid: child.pid ?? 0,
      output: () => output,
      ended,
      stop: () => {
        child.kill('SIGTERM');
        return ended;
      },
    };
    this.#runs.push(run);
    return run;
  }

  async until(what: string, condition: () => boolean, seconds = 15): Promise<void> {
    const deadline = Date.now() + seconds * 1000;
    while (!condition()) {
      if (Date.now() > deadline)
        throw new Error(`not within ${seconds} s: ${what}\n${this.#runs.map((run) => run.output()).join('')}`);
      await pause(20);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#runs.map((run) => run.stop()));
    await this.stopListening();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** An authority and a server certificate that this machine was not told of. */
  makeImpostor(): void {
    this.#makeAuthority('other-ca');
    this.#makeServerCertificate('impostor', 'other-ca');
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of message) body += String(chunk);
    const socket = message.socket;
    if (!(socket instanceof TLSSocket)) throw new Error('a request without TLS');
    const request: AgentRequest = {
      path: message.url ?? '',
      form: new URLSearchParams(body),
      authorization: message.headers.authorization,
      client: socket.authorized ? socket.getPeerCertificate().serialNumber : undefined,
      at: Date.now(),
    };
    this.requests.push(request);
    const script = this.#scripts.get(request.path);
    const answer = (await script?.(request)) ?? { status: 404, body: 'not-found: nothing here' };
    if (answer.lost === true) {
      socket.destroy();
      return;
    }
    response.writeHead(answer.status, { ...answer.headers });
    response.end(answer.body);
  }

  #makeAuthority(name: string): void {
    this.#openssl(
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${name}.key -out ${name}.pem -days 2 -subj /CN=${name}`,
    );
  }

  #makeServerCertificate(name: string, authority: string): void {
    this.write('server.ext', 'subjectAltName=IP:127.0.0.1\n');
    this.#openssl(
      `req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${name}.key -out ${name}.csr -subj /CN=${name}`,
    );
    this.#openssl(
      `x509 -req -in ${name}.csr -CA ${authority}.pem -CAkey ${authority}.key -days 2 -extfile server.ext -out ${name}.pem`,
    );
  }

  #openssl(command: string): string {
    return execFileSync('openssl', command.split(' '), { cwd: this.directory, encoding: 'utf8', stdio: 'pipe' });
  }

  #makeMachine(): void {
    this.write('token', `${TOKEN}\n`);
    this.write('sys/class/dmi/id/product_uuid', '01020304-0506-0708-090A-0B0C0D0E0F10\n');
    this.write('sys/class/dmi/id/product_serial', 'SN "7" \\ 8\n');
    this.write('sys/class/dmi/id/sys_vendor', 'Lab & Sons\n');
    this.write('sys/class/dmi/id/product_name', 'Bench\n');
    this.#makeCard('eth0', '52:54:00:00:00:01', true);
    this.#makeCard('eth1', '52:54:00:00:00:02', true);
    this.#makeCard('docker0', '02:42:00:00:00:03', false);
    this.#makeDisk('vda', 2048);
    this.#makeDisk('nvme0n1', 4_000_797_360, 'FAST, DISK  ');
    this.#makeDisk('loop0', 100);
    this.#makeDisk('sr0', 2_097_151);
    this.write('run-cloud-init/status.json', '{}');
    this.write('cloud-init', `#!/bin/sh\ncat '${this.path('cloud-init-says')}'\n`);
    chmodSync(this.path('cloud-init'), 0o755);
    this.setCloudInit('running');
  }

  #makeCard(name: string, address: string, physical: boolean): void {
    this.write(`sys/class/net/${name}/address`, `${address}\n`);
    this.write(`sys/class/net/${name}/type`, '1\n');
    if (physical) mkdirSync(this.path(`sys/class/net/${name}/device`));
  }

  #makeDisk(name: string, sectors: number, model?: string): void {
    this.write(`sys/block/${name}/size`, `${sectors}\n`);
    if (model !== undefined) this.write(`sys/block/${name}/device/model`, `${model}\n`);
  }
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
