import { describe, expect, it } from 'vitest';
import { createLogger, isPrettyLog } from '../../../src/platform/logger.ts';
import { settingsSchema } from '../../../src/settings/schema.ts';

describe('createLogger', () => {
  it('writes JSON lines without process details where no person looks', () => {
    const { logger, lines } = aLogger({ isTerminal: false });
    logger.info({ mac: '52:54:00:00:00:01' }, 'offered');
    expect(JSON.parse(lines[0]!)).toEqual({
      level: 30,
      time: expect.any(Number),
      mac: '52:54:00:00:00:01',
      msg: 'offered',
    });
  });

  it('keeps credentials out of the log, at the top and one level down', () => {
    const { logger, lines } = aLogger({ isTerminal: false });
    logger.info(
      { token: 'T0P', request: { authorization: 'T0P', headers: { cookie: 'T0P' } }, ca: { key: 'T0P' } },
      'm',
    );
    expect(lines.join('')).not.toContain('T0P');
    expect(lines.join('')).toContain('[redacted]');
  });

  it('escapes control characters in values that came off the wire', () => {
    for (const format of ['json', 'pretty'] as const) {
      const { logger, lines } = aLogger({ isTerminal: false, format });
      logger.info({ file: 'x\u001b[2Jy\nz' }, 'asked');
      const written = Array.from(lines.join('').trimEnd());
      expect(written.every((character) => character >= ' ')).toBe(true);
    }
  });

  it('is silent below its level', () => {
    const { logger, lines } = aLogger({ isTerminal: false });
    logger.debug('packet');
    expect(lines).toEqual([]);
  });
});

describe('isPrettyLog', () => {
  it.each([
    ['auto', true, true],
    ['auto', false, false],
    ['pretty', false, true],
    ['json', true, false],
  ] as const)('format %s on a terminal (%s) is pretty: %s', (format, isTerminal, expected) => {
    expect(isPrettyLog(format, isTerminal)).toBe(expected);
  });
});

function aLogger(options: { isTerminal: boolean; format?: 'json' | 'pretty' }) {
  const lines: string[] = [];
  const stream = { write: (line: string) => lines.push(line) };
  const log = { ...settingsSchema.parse({}).log, format: options.format ?? ('auto' as const) };
  return { lines, logger: createLogger(log, { isTerminal: options.isTerminal, stream }) };
}
