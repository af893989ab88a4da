// What ends a command: one message for the person and the exit code for the script.

/** 1: the request failed. 2: wrong usage or settings. */
export type ExitCode = 0 | 1 | 2;

export class CliError extends Error {
  /** For `--json`: the server's error code, or one of the command line's own. */
  readonly code: string;
  readonly exitCode: ExitCode;

  constructor(code: string, message: string, exitCode: ExitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.code = code;
    this.exitCode = exitCode;
  }
}
