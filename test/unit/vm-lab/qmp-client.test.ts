import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { sendQmpCommand } from '../../../vm-lab/qmp-client.ts';

const folder = mkdtempSync(join(tmpdir(), 'qmp-'));
const socketFile = join(folder, 'socket');
let server: Server | undefined;

/** QEMU's side: a greeting, then one answer for each line. */
async function startMonitor(answer: (command: string) => readonly string[] | 'close'): Promise<string[]> {
  const commands: string[] = [];
  server = createServer((socket) => {
    socket.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
    createInterface({ input: socket }).on('line', (line) => {
      const { execute } = JSON.parse(line) as { execute: string };
      commands.push(execute);
      const lines = answer(execute);
      if (lines === 'close') socket.destroy();
      else for (const text of lines) socket.write(`${text}\r\n`);
    });
  });
  await new Promise<void>((resolve) => server?.listen(socketFile, resolve));
  return commands;
}

afterEach(async () => {
  await new Promise((resolve) => server?.close(resolve));
  rmSync(socketFile, { force: true });
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe('sendQmpCommand', () => {
  it('negotiates first and passes over events in between (QMP specification, 2.4 and 2.5)', async () => {
    const commands = await startMonitor((command) =>
      command === 'qmp_capabilities' ? ['{"return": {}}'] : ['{"event": "RESET", "timestamp": {}}', '{"return": {}}'],
    );
    await sendQmpCommand(socketFile, 'system_reset');
    expect(commands).toEqual(['qmp_capabilities', 'system_reset']);
  });

  it('takes a closed socket for the answer to quit, and for a failure of anything else', async () => {
    await startMonitor((command) => (command === 'qmp_capabilities' ? ['{"return": {}}'] : 'close'));
    await expect(sendQmpCommand(socketFile, 'quit')).resolves.toBeUndefined();
    await expect(sendQmpCommand(socketFile, 'system_reset')).rejects.toThrow('closed its monitor');
  });

  it('passes a refusal on', async () => {
    await startMonitor(() => ['{"error": {"class": "GenericError", "desc": "no such thing"}}']);
    await expect(sendQmpCommand(socketFile, 'system_reset')).rejects.toThrow('no such thing');
  });
});
