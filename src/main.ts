// The only reader of the command line and the environment; owns signals and the exit code. What to do is cli/ and app.ts.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { Output } from './cli/output.ts';
import { runCommandLine } from './cli/run-command-line.ts';
import { runServer } from './cli/run-server.ts';
import { chooseStyle } from './cli/style.ts';
import { SystemClock, SystemScheduler } from './platform/clock.ts';
import { createLogger, isPrettyLog } from './platform/logger.ts';
import type { LoadedSettings } from './settings/load-settings.ts';

const baseDirectory = resolve(import.meta.dirname, '..');
const packageText = await readFile(resolve(baseDirectory, 'package.json'), 'utf8');
const { version } = z.object({ version: z.string() }).parse(JSON.parse(packageText));

const output = outputOf(process.stdout);
const errors = outputOf(process.stderr);
const style = chooseStyle(output.isTerminal, process.env);
const errorStyle = chooseStyle(errors.isTerminal, process.env);
const clock = new SystemClock();
const scheduler = new SystemScheduler();
const interruption = new AbortController();

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interruption.signal.aborted) process.exit(130);
    interruption.abort();
  });
}

process.exitCode = await runCommandLine({
  words: process.argv.slice(2),
  environment: process.env,
  workingDirectory: process.cwd(),
  interrupted: interruption.signal,
  baseDirectory,
  version,
  output,
  errors,
  style,
  errorStyle,
  clock,
  scheduler,
  serve,
});
// What still holds the process a second after its work is done shall not.
scheduler.after(1000, () => {
  process.exit();
});

async function serve(loaded: LoadedSettings): Promise<void> {
  const { log } = loaded.settings;
  const logger = createLogger(log, output);
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'uncaught exception');
    process.exit(1);
  });
  // Only the server needs app.ts and all that it imports: the other commands start faster without.
  const { createApp } = await import('./app.ts');
  const forPeople = isPrettyLog(log.format, output.isTerminal);
  await runServer({
    server: createApp(loaded.settings, { logger, version }),
    output: forPeople ? output : errors,
    style: forPeople ? style : errorStyle,
    command: process.cwd() === baseDirectory ? './muster' : resolve(baseDirectory, 'muster'),
    interrupted: interruption.signal,
    loaded,
    version,
    clock,
    scheduler,
  });
}

function outputOf(stream: NodeJS.WriteStream): Output {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The reader went away, as `head` does: no failure of ours.
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    isTerminal: stream.isTTY,
    get columns() {
      return stream.columns;
    },
    write: (text) => {
      stream.write(text);
    },
  };
}
