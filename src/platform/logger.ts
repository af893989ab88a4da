// The one root logger. JSON lines for machines, coloured lines for people; credentials never get into either.
import { pino, type DestinationStream, type Logger } from 'pino';
import pretty from 'pino-pretty';
import type { Settings } from '../settings/schema.ts';

const SECRET_NAMES = ['token', 'key', 'secret', 'password', 'authorization', 'cookie', 'csr', 'pem'];

/** Whether log lines are for people: `auto` looks at the terminal. */
export function isPrettyLog(format: Settings['log']['format'], isTerminal: boolean): boolean {
  return format === 'pretty' || (format === 'auto' && isTerminal);
}

/** Writes to standard output unless given a stream. Synchronous, so that the last line before an end is not lost. */
export function createLogger(
  log: Settings['log'],
  output: { readonly isTerminal: boolean; readonly stream?: DestinationStream },
): Logger {
  const options = {
    level: log.level,
    base: null,
    redact: {
      paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.headers.${name}`]),
      censor: '[redacted]',
    },
  };
  const stream = output.stream ?? pino.destination({ fd: 1, sync: true });
  if (!isPrettyLog(log.format, output.isTerminal)) return pino(options, stream);
  const format = pretty.prettyFactory({
    colorize: output.isTerminal,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
  });
  return pino(options, {
    write: (line: string) => {
      stream.write(format(line));
    },
  });
}
