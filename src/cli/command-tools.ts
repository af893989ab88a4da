// What every command is given: settings, the server, and a way to answer people or programs. Built once per run.
import type { Clock, Scheduler } from '../clock.ts';
import type { LoadedSettings } from '../settings/load-settings.ts';
import type { Environment } from '../settings/parse-settings.ts';
import type { ApiClient } from './api-client.ts';
import type { Output } from './output.ts';
import type { Style } from './style.ts';

export interface CommandTools {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly environment: Environment;
  readonly workingDirectory: string;
  readonly baseDirectory: string;
  readonly style: Style;
  readonly errorStyle: Style;
  /** Results. */
  readonly output: Output;
  /** Progress and remarks. */
  readonly errors: Output;
  readonly interrupted: AbortSignal;
  /** Whether the answer is for a program. */
  isJson(): boolean;
  settings(): Promise<LoadedSettings>;
  api(): Promise<ApiClient>;
  /** One JSON document for programs, or a text for people. */
  show(answer: unknown, forPeople: () => string): void;
}
