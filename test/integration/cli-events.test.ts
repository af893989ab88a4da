import type { ChildProcess } from 'node:child_process';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CliWorld, finished, startCli } from '../support/cli-world.ts';

let world: CliWorld;

beforeEach(async () => {
  world = await CliWorld.open();
});

afterEach(() => world[Symbol.asyncDispose]());

describe('muster events', () => {
  it('prints a line for each event that matches', async () => {
    world.answer('GET /events', { events: [anEvent(3)] });
    const words = ['events', '--machine', 'node-1', '--kind', 'token-created', '--since-seq', '2', '--limit', '5'];
    expect((await world.run(words)).stdout).toMatch(/^ {2}\d\d:\d\d:\d\d\.\d{3} +token t3 made by admin\n$/);
    expect(world.lines()).toEqual(['GET /events?machine=node-1&kind=token-created&after=2&limit=5']);
  });

  it('gives one document as JSON', async () => {
    world.answer('GET /events', { events: [anEvent(1), anEvent(2)] });
    expect(JSON.parse((await world.run(['events', '--json'])).stdout)).toMatchObject({
      events: [{ seq: 1 }, { seq: 2 }],
    });
  });
});

describe('muster events --follow', () => {
  it('goes on after what was printed, comes back after a lost connection, and ends well at Ctrl+C', async () => {
    world.answer('GET /events', { events: [anEvent(7)] });
    const connections: ServerResponse[] = [];
    world.answer('GET /events/stream', (_request, response) => {
      const seq = 8 + connections.length;
      connections.push(response);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`: hello\n\nid: ${seq}\nevent: boot-event\ndata: ${JSON.stringify(anEvent(seq))}\n\n`);
    });
    const child = startCli(['events', '--follow', '--json'], world.environment());
    const result = finished(child);
    await printed(child, '"seq":8');
    connections[0]?.destroy();
    await printed(child, '"seq":9');
    child.kill('SIGINT');
    const { status, stdout, stderr } = await result;
    expect(status).toBe(0);
    expect(stdout.trimEnd().split('\n').map(seqOf)).toEqual([7, 8, 9]);
    expect(stderr).toMatch(/lost, trying again\n.*connected again/);
    expect(world.lines()).toEqual(['GET /events?limit=10', 'GET /events/stream?after=7', 'GET /events/stream?after=8']);
  });

  it('ends with what the server has against it', async () => {
    world.answer('GET /events', { events: [] });
    const error = { code: 'too-many-requests', message: 'Too many live streams are open.' };
    world.answer('GET /events/stream', { error }, 429);
    const { status, stderr } = await world.run(['events', '-f']);
    expect(status).toBe(1);
    expect(stderr).toContain('Too many live streams are open.');
  });
});

function anEvent(seq: number) {
  return { kind: 'token-created', details: { tokenId: `t${seq}`, by: 'admin' }, seq, at: 1000 };
}

function seqOf(line: string): unknown {
  return (JSON.parse(line) as { seq: unknown }).seq;
}

/** Resolves once the process has written the text. */
function printed(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve) => {
    let written = '';
    const onData = (chunk: string): void => {
      written += chunk;
      if (!written.includes(text)) return;
      child.stdout?.off('data', onData);
      resolve();
    };
    child.stdout?.on('data', onData);
  });
}
