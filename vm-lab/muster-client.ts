// The lab's view of a running Muster: the commands that a person would type, run in the server's namespace, with their JSON
// answers parsed.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { BootEvent } from '../src/events/boot-event.ts';
import { parseEventLine } from './boot-progress.ts';

const COMMAND_LIMIT_SECONDS = 120;
const FOLLOW_AGAIN_MILLISECONDS = 300;
/** `--follow` alone begins with the last few events; the lab wants all that it has not seen. */
const FOLLOW_LIMIT = '1000';

const machineSchema = z.looseObject({
  id: z.string(),
  state: z.string(),
  macs: z.array(z.string()),
  hostname: z.string().optional(),
  address: z.string().optional(),
  /** What it booted last, NAME@DIGEST. */
  image: z.string().optional(),
  certificateSerial: z.string().optional(),
  configDigest: z.string().optional(),
  installedAt: z.number().optional(),
  running: z
    .looseObject({
      image: z.string(),
      source: z.string(),
      slot: z.string().optional(),
      slotState: z.string().optional(),
      version: z.string().optional(),
      bootId: z.string(),
    })
    .optional(),
  facts: z.looseObject({ serial: z.string().optional(), uuid: z.string().optional() }),
});
const imageSchema = z.looseObject({
  name: z.string(),
  digest: z.string(),
  state: z.string(),
  refusal: z.looseObject({ code: z.string(), detail: z.string() }).optional(),
});
export type ShownImage = z.infer<typeof imageSchema>;
export type ShownMachine = z.infer<typeof machineSchema>;

export interface ImageFiles {
  readonly kernel: string;
  readonly initrd: string;
  readonly squashfs: string;
}

export interface ClientOptions {
  /** The words that start the command line in the server's namespace, up to `main.ts`. */
  readonly command: readonly [string, ...string[]];
  readonly environment: NodeJS.ProcessEnv;
  readonly workingDirectory: string;
}

export class MusterClient {
  private readonly options: ClientOptions;

  constructor(options: ClientOptions) {
    this.options = options;
  }

  async listMachines(): Promise<readonly ShownMachine[]> {
    return z.looseObject({ machines: z.array(machineSchema) }).parse(await this.ask('machines', 'list')).machines;
  }

  /** By id, MAC address or host name. */
  async showMachine(reference: string): Promise<ShownMachine> {
    return z.looseObject({ machine: machineSchema }).parse(await this.ask('machines', 'show', reference)).machine;
  }

  async approveMachine(reference: string): Promise<void> {
    await this.ask('machines', 'approve', reference);
  }

  async importImage(name: string, files: ImageFiles): Promise<void> {
    const parts = [`kernel=${files.kernel}`, `initrd=${files.initrd}`, `squashfs=${files.squashfs}`];
    await this.ask('images', 'import', name, ...parts);
  }

  async listImages(): Promise<readonly ShownImage[]> {
    return z.looseObject({ images: z.array(imageSchema) }).parse(await this.ask('images', 'list')).images;
  }

  /** Calls back for each event from the first on, in order and once, also across restarts of the server. */
  async followEvents(onEvent: (event: BootEvent) => void, signal: AbortSignal): Promise<void> {
    let last = 0;
    while (!isAborted(signal)) {
      const child = this.spawn(
        ['events', '--follow', '--since-seq', String(last), '--limit', FOLLOW_LIMIT, '--json'],
        signal,
      );
      child.stderr.resume();
      try {
        for await (const line of createInterface({ input: child.stdout })) {
          const event = parseEventLine(line);
          if (event === undefined || event.seq <= last) continue;
          last = event.seq;
          onEvent(event);
        }
        await sleep(FOLLOW_AGAIN_MILLISECONDS, undefined, { signal });
      } catch (error) {
        if (isAborted(signal)) return;
        throw error;
      }
    }
  }

  /** Any command, as a person would type it; gives its JSON answer. */
  async ask(...words: readonly string[]): Promise<unknown> {
    const child = this.spawn([...words, '--json'], AbortSignal.timeout(COMMAND_LIMIT_SECONDS * 1_000));
    const [answer, errors, exitCode] = await Promise.all([
      readAll(child.stdout),
      readAll(child.stderr),
      new Promise<number | null>((resolve, reject) => {
        child.once('error', reject);
        child.once('close', resolve);
      }),
    ]);
    if (exitCode !== 0)
      throw new Error(`muster ${words.join(' ')}: exit ${exitCode ?? 'by signal'}: ${errors || answer}`);
    return JSON.parse(answer) as unknown;
  }

  private spawn(words: readonly string[], signal: AbortSignal) {
    const [program, ...rest] = this.options.command;
    const child = spawn(program, [...rest, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: this.options.environment,
      cwd: this.options.workingDirectory,
      signal,
    });
    // An abort ends the process and arrives here as an error too; whoever gave the signal knows.
    child.on('error', () => undefined);
    return child;
  }
}

/** Asked anew each time: it can change between two questions. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}
