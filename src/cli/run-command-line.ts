// From the words of the command line to an exit code. Knows no process: main.ts gives it everything.
import { Command, CommanderError } from 'commander';
import { prettifyError, ZodError } from 'zod';
import { AppError } from '../errors.ts';
import { loadSettings, type LoadedSettings } from '../settings/load-settings.ts';
import { ApiClient } from './api-client.ts';
import { CliError, type ExitCode } from './cli-error.ts';
import type { CommandTools } from './command-tools.ts';
import { addCommands } from './commands.ts';
import { locateServer } from './locate-server.ts';

export interface CommandLine extends Pick<
  CommandTools,
  | 'clock'
  | 'scheduler'
  | 'environment'
  | 'workingDirectory'
  | 'baseDirectory'
  | 'style'
  | 'errorStyle'
  | 'output'
  | 'errors'
  | 'interrupted'
> {
  /** Without node and the script. */
  readonly words: readonly string[];
  readonly version: string;
  /** Runs the server until it is told to end. */
  serve(loaded: LoadedSettings): Promise<void>;
}

/** Never throws: what goes wrong is printed. */
export async function runCommandLine(line: CommandLine): Promise<ExitCode> {
  const program = createProgram(line);
  const opened: ApiClient[] = [];
  const tools = createTools(line, program, opened);
  program
    .command('serve')
    .description('run the server until Ctrl+C')
    .action(async () => {
      await line.serve(await tools.settings());
    });
  addCommands(program, tools);
  try {
    await program.parseAsync(line.words, { from: 'user' });
    return 0;
  } catch (error) {
    return explain(error, line, tools.isJson());
  } finally {
    await Promise.all(opened.map((client) => client.close()));
  }
}

function createProgram(line: CommandLine): Command {
  return new Command('muster')
    .description('Brings bare metal from power-on to a healthy member of the fleet.')
    .version(line.version, '--version', 'print the version')
    .option('--config <file>', 'settings file (default: config/muster.yaml; also MUSTER_CONFIG)')
    .option('--json', 'answer in JSON, for programs')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => {
        line.output.write(text);
      },
      writeErr: (text) => {
        line.errors.write(text);
      },
    })
    .showHelpAfterError('(--help shows how)')
    .exitOverride();
}

function createTools(line: CommandLine, program: Command, opened: ApiClient[]): CommandTools {
  const options = () => program.opts<{ config?: string; json?: boolean }>();
  const settings = () => loadSettings({ ...line, file: options().config ?? line.environment.MUSTER_CONFIG });
  const isJson = () => options().json === true;
  return {
    ...line,
    isJson,
    settings,
    api: async () => {
      const client = new ApiClient(
        await locateServer(line.environment, line.workingDirectory, settings),
        line.interrupted,
      );
      opened.push(client);
      return client;
    },
    show: (answer, forPeople) => {
      line.output.write(isJson() ? `${JSON.stringify(answer, null, 2)}\n` : forPeople());
    },
  };
}

function explain(error: unknown, line: CommandLine, isJson: boolean): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const { code, exitCode, message } = describe(error, line.interrupted.aborted);
  const style = line.errorStyle;
  line.errors.write(
    isJson
      ? `${JSON.stringify({ error: { code, message } })}\n`
      : `${style.bad('muster:')} ${message} ${style.faint(`[${code}]`)}\n`,
  );
  return exitCode;
}

interface Failure {
  readonly code: string;
  readonly exitCode: ExitCode;
  readonly message: string;
}

function describe(error: unknown, isInterrupted: boolean): Failure {
  if (error instanceof CliError) return error;
  if (isInterrupted) return { code: 'interrupted', exitCode: 1, message: 'Interrupted.' };
  if (error instanceof AppError) return { code: error.code, exitCode: 2, message: error.message };
  if (error instanceof ZodError) {
    const reason = `The server's answer is not what this command line expects. Are both of the same version?`;
    return { code: 'internal', exitCode: 1, message: `${reason}\n${prettifyError(error)}` };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: 'internal', exitCode: 1, message: `This is a defect in Muster, please report it:\n${message}` };
}
