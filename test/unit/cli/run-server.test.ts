import { describe, expect, it } from 'vitest';
import { runServer, type Server } from '../../../src/cli/run-server.ts';
import { PLAIN } from '../../../src/cli/style.ts';
import { AppError } from '../../../src/errors.ts';
import { settingsSchema } from '../../../src/settings/schema.ts';

describe('runServer', () => {
  it('shows the banner once the server is ready, and stops it when it is told to end', async () => {
    const world = aWorld();
    const run = runServer(world.run);
    await tick();
    expect(world.written.join('')).toContain('is ready');
    expect(world.steps).toEqual(['start']);
    world.interruption.abort();
    await run;
    expect(world.steps).toEqual(['start', 'stop']);
  });

  it('stops without a banner when it was told to end while it started', async () => {
    const world = aWorld();
    world.interruption.abort();
    await runServer(world.run);
    expect(world.written).toEqual([]);
    expect(world.steps).toEqual(['start', 'stop']);
  });

  it('lets the reason of a failed start through, and cleans up', async () => {
    const failure = new AppError('port-taken', 'port 67 is held by dnsmasq');
    const world = aWorld({ start: () => Promise.reject(failure) });
    await expect(runServer(world.run)).rejects.toBe(failure);
    expect(world.steps).toEqual(['stop']);
  });

  it('gives up on a server that does not stop within 10 seconds', async () => {
    const world = aWorld({ stop: () => new Promise<never>(() => undefined) });
    const run = runServer(world.run);
    await tick();
    world.interruption.abort();
    await tick();
    expect(world.timers.map(({ milliseconds }) => milliseconds)).toEqual([10_000]);
    world.timers[0]?.action();
    await expect(run).rejects.toMatchObject({ code: 'stop-deadline', exitCode: 1 });
  });
});

function aWorld(overrides: Partial<Server> = {}) {
  const steps: string[] = [];
  const written: string[] = [];
  const timers: { milliseconds: number; action: () => void }[] = [];
  const interruption = new AbortController();
  const log = (step: string) => () => {
    steps.push(step);
    return Promise.resolve();
  };
  const addresses = { interfaces: [{ name: 'lo', address: '127.0.0.1' }], http: { port: 1 }, api: { port: 2 } };
  const run = {
    server: { start: log('start'), stop: log('stop'), addresses, ...overrides },
    loaded: { settings: settingsSchema.parse({}), file: undefined },
    version: '0.1.0',
    command: './muster',
    output: { isTerminal: false, columns: 80, write: (text: string) => void written.push(text) },
    style: PLAIN,
    interrupted: interruption.signal,
    clock: { now: () => 0 },
    scheduler: {
      after: (milliseconds: number, action: () => void) => {
        timers.push({ milliseconds, action });
        return () => undefined;
      },
    },
  };
  return { run, steps, written, timers, interruption };
}

/** Lets what is ready run. */
function tick(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
