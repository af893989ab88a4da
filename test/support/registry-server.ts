// The real server as a process on the loopback, started as a person starts it, on ports that are free, with a data folder that
// outlives it: it can be killed without warning at any moment and started again.
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = resolve(import.meta.dirname, '../..');
const READY_MILLISECONDS = 60_000;
/** Of pino. */
const ERROR_LEVEL = 50;

export interface ServerAccess {
  readonly url: string;
  readonly token: string;
  readonly ca: string;
}

export class RegistryServer {
  readonly dataDirectory: string;
  /** Lines that the server logged as errors: things that a person must act on. */
  readonly errors: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #port: Promise<number>;
  #said = '';

  constructor(dataDirectory: string, settings: Readonly<Record<string, string>> = {}) {
    this.dataDirectory = dataDirectory;
    this.#child = spawn(join(ROOT, 'muster'), ['serve'], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        MUSTER_DATA_DIRECTORY: dataDirectory,
        MUSTER_INTERFACES: 'lo',
        MUSTER_DHCP_MODE: 'off',
        MUSTER_TFTP_ENABLED: 'false',
        MUSTER_HTTP_PORT: '0',
        MUSTER_API_PORT: '0',
        MUSTER_LOG_FORMAT: 'json',
        ...settings,
      },
    });
    this.#ended = new Promise((done) => this.#child.once('close', done));
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error('the server has no output');
    createInterface({ input: stdout }).on('line', (line) => {
      this.#onLog(line);
    });
    this.#port = new Promise((done) => {
      stderr.on('data', (chunk: Buffer) => {
        this.#said += chunk.toString();
        const port = /Web and API +https:\/\/[^ ]+:(\d+)/.exec(this.#said)?.[1];
        if (port !== undefined) done(Number(port));
      });
    });
  }

  /** Once it serves. Fails where it ends before that. */
  async access(): Promise<ServerAccess> {
    const ended = this.#ended.then(() => {
      throw new Error(`the server ended while it started:\n${this.#said}\n${this.errors.join('\n')}`);
    });
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new Error(`the server was not ready within ${READY_MILLISECONDS / 1_000} s:\n${this.#said}`));
    }, READY_MILLISECONDS);
    try {
      const port = await Promise.race([this.#port, ended, late.promise]);
      const read = (name: string): string => readFileSync(join(this.dataDirectory, name), 'utf8');
      return { url: `https://127.0.0.1:${port}`, token: read('admin-token').trim(), ca: read('ca.pem') };
    } finally {
      clearTimeout(timer);
      ended.catch(() => undefined);
    }
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the server could not be started');
    return this.#child.pid;
  }

  /** SIGKILL: nothing of it gets to run after this. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended;
  }

  #onLog(line: string): void {
    try {
      const { level } = JSON.parse(line) as { level: number };
      if (level >= ERROR_LEVEL) this.errors.push(line);
    } catch {
      // A line that the kill cut off.
    }
  }
}
