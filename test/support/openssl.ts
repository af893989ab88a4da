// Runs the openssl command line as the second opinion on keys, requests and certificates, in a folder that goes away.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export class Scratch {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  static async open(): Promise<Scratch> {
    return new Scratch(await mkdtemp(join(tmpdir(), 'muster-test-')));
  }

  file(name: string): string {
    return join(this.path, name);
  }

  async write(name: string, content: string | Uint8Array): Promise<string> {
    await writeFile(this.file(name), content);
    return this.file(name);
  }

  read(name: string): Promise<string> {
    return readFile(this.file(name), 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

/** What a command wrote to both outputs; rejects where its status is not 0. Standard input is empty. */
export async function capture(command: string, args: readonly string[], cwd?: string): Promise<string> {
  const pending = run(command, [...args], { timeout: 15_000, ...(cwd === undefined ? {} : { cwd }) });
  pending.child.stdin?.end();
  const { stdout, stderr } = await pending;
  return stdout + stderr;
}

/** A request made by `openssl req`, with a key of its own. `key` is what `openssl req -newkey` takes. */
export async function opensslCsr(
  scratch: Scratch,
  key: readonly string[] = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  name = 'machine',
): Promise<string> {
  await capture('openssl', [
    ...['req', '-new', '-newkey', ...key, '-nodes', '-subj', '/CN=whatever it likes'],
    ...['-keyout', scratch.file(`${name}.key`), '-out', scratch.file(`${name}.csr`)],
  ]);
  return scratch.read(`${name}.csr`);
}
