// `muster serve`: starts the app, tells where it listens, waits for the end of its time and stops it within a deadline.
import type { Clock, Scheduler } from '../clock.ts';
import type { LoadedSettings } from '../settings/load-settings.ts';
import { CliError } from './cli-error.ts';
import { formatBanner, type ServedAddresses } from './format-banner.ts';
import type { Output } from './output.ts';
import type { Style } from './style.ts';

const STOP_DEADLINE_MS = 10_000;

/** What app.ts makes. */
export interface Server {
  start(): Promise<void>;
  stop(): Promise<void>;
  readonly addresses: ServedAddresses;
}

export interface ServerRun {
  readonly server: Server;
  readonly loaded: LoadedSettings;
  readonly version: string;
  readonly command: string;
  /** Where the banner goes: not among JSON log lines. */
  readonly output: Output;
  readonly style: Style;
  /** The person's or the system's wish to end. */
  readonly interrupted: AbortSignal;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
}

/** Resolves once the server has stopped. What `start` throws comes through, after what was started is stopped again. */
export async function runServer(run: ServerRun): Promise<void> {
  const began = run.clock.now();
  try {
    await run.server.start();
    if (!run.interrupted.aborted) {
      run.output.write(formatBanner({ ...bannerFacts(run), startedInMs: run.clock.now() - began }, run.style));
      await aborted(run.interrupted);
      run.output.write('\n  Stopping …\n');
    }
  } finally {
    await stopInTime(run);
  }
}

function bannerFacts(run: ServerRun) {
  const { loaded, version, command } = run;
  return { version, command, settings: loaded.settings, settingsFile: loaded.file, addresses: run.server.addresses };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      resolve();
    });
  });
}

async function stopInTime(run: ServerRun): Promise<void> {
  const late = Promise.withResolvers<never>();
  const cancel = run.scheduler.after(STOP_DEADLINE_MS, () => {
    late.reject(
      new CliError('stop-deadline', `Muster did not stop within ${STOP_DEADLINE_MS / 1000} s and was ended.`),
    );
  });
  try {
    await Promise.race([run.server.stop(), late.promise]);
  } finally {
    cancel();
  }
}
