// The command line, within the test's process or as one of its own, and an HTTPS server that answers as the test says.
import { spawn, type ChildProcess } from 'node:child_process';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { runCommandLine } from '../../src/cli/run-command-line.ts';
import { PLAIN } from '../../src/cli/style.ts';
import { SystemClock, SystemScheduler } from '../../src/platform/clock.ts';
import { capture, Scratch } from './openssl.ts';

const ROOT = resolve(import.meta.dirname, '../..');

export interface CliResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SeenRequest {
  /** `GET /api/v1/machines?state=active` */
  readonly line: string;
  readonly authorization: string | undefined;
  readonly body: Buffer;
}

type Answer = (request: SeenRequest, response: ServerResponse) => void;

export class CliWorld {
  readonly scratch: Scratch;
  readonly seen: SeenRequest[] = [];
  readonly #server: Server;
  readonly #answers = new Map<string, Answer>();

  constructor(scratch: Scratch, server: Server) {
    this.scratch = scratch;
    this.#server = server;
    server.on('request', (request, response) => void this.#onRequest(request, response));
  }

  /** A server with a certificate of its own for 127.0.0.1, and a data folder with token and CA as Muster makes it. */
  static async open(): Promise<CliWorld> {
    const scratch = await Scratch.open();
    await capture('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
      ...['-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1'],
      ...['-keyout', scratch.file('key.pem'), '-out', scratch.file('ca.pem')],
    ]);
    await scratch.write('admin-token', 'T0P-SECRET\n');
    const tls = { key: await scratch.read('key.pem'), cert: await scratch.read('ca.pem') };
    const server = createServer(tls);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return new CliWorld(scratch, server);
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** `line` is method and path below /api/v1 without the query: `GET /machines`. A value is answered as JSON. */
  answer(line: string, answer: Answer | object, status = 200): void {
    const json: Answer = (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    };
    this.#answers.set(line, typeof answer === 'function' ? (answer as Answer) : json);
  }

  /** Method and path of what was asked, in order. */
  lines(): readonly string[] {
    return this.seen.map(({ line }) => line.replace('/api/v1', ''));
  }

  environment(): Record<string, string> {
    return { MUSTER_URL: this.url, MUSTER_DATA_DIRECTORY: this.scratch.path };
  }

  /** Runs a command to its end as a process of its own, in the scratch folder. */
  async runProcess(words: readonly string[], environment = this.environment()): Promise<CliResult> {
    return finished(startCli(words, environment, this.scratch.path));
  }

  /** The same within this process, which is much quicker. */
  async run(words: readonly string[], environment = this.environment()): Promise<CliResult> {
    const texts = { stdout: '', stderr: '' };
    const outputTo = (name: 'stdout' | 'stderr') => ({
      isTerminal: false,
      columns: 80,
      write: (text: string) => {
        texts[name] += text;
      },
    });
    const status = await runCommandLine({
      words,
      environment,
      workingDirectory: this.scratch.path,
      baseDirectory: ROOT,
      version: '0.1.0',
      clock: new SystemClock(),
      scheduler: new SystemScheduler(),
      style: PLAIN,
      errorStyle: PLAIN,
      output: outputTo('stdout'),
      errors: outputTo('stderr'),
      interrupted: new AbortController().signal,
      serve: () => Promise.reject(new Error('serve needs a process')),
    });
    return { status, ...texts };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
    await this.scratch[Symbol.asyncDispose]();
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url = '' } = request;
    const seen = {
      line: `${method} ${url}`,
      authorization: request.headers.authorization,
      body: Buffer.concat(chunks),
    };
    this.seen.push(seen);
    const answer = this.#answers.get(`${method} ${url.replace('/api/v1', '').replace(/\?.*/, '')}`);
    if (answer !== undefined) {
      answer(seen, response);
      return;
    }
    const error = { code: 'not-found', message: `The test has no answer for ${method} ${url}.` };
    response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
  }
}

/** Only the given environment, so that the test's own MUSTER_ variables play no part. */
export function startCli(
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
  workingDirectory = ROOT,
): ChildProcess {
  return spawn(process.execPath, [join(ROOT, 'src/main.ts'), ...words], {
    cwd: workingDirectory,
    env: { PATH: process.env.PATH ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

export function finished(child: ChildProcess): Promise<CliResult> {
  const texts = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (texts.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (texts.stderr += text));
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('close', (status) => {
      done({ status, ...texts });
    });
  });
}
