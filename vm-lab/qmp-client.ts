// The few words of the QEMU Machine Protocol that the lab needs: one command for each connection, bounded in time.
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { z } from 'zod';

const answerSchema = z.looseObject({
  QMP: z.unknown().optional(),
  return: z.unknown().optional(),
  error: z.object({ desc: z.string() }).optional(),
});
const ANSWER_SECONDS = 10;

/** Sends one command to the monitor socket and waits for its answer. `quit` may close the socket in place of an answer. */
export async function sendQmpCommand(socketPath: string, command: 'system_reset' | 'quit'): Promise<void> {
  const socket = createConnection(socketPath);
  socket.setTimeout(ANSWER_SECONDS * 1_000, () => socket.destroy(new Error(`QEMU did not answer ${command}`)));
  const commands = ['qmp_capabilities', command];
  try {
    for await (const line of createInterface({ input: socket })) {
      const answer = answerSchema.parse(JSON.parse(line));
      if (answer.error !== undefined) throw new Error(`QEMU refused ${command}: ${answer.error.desc}`);
      if (answer.QMP === undefined && answer.return === undefined) continue;
      const next = commands.shift();
      if (next === undefined) return;
      socket.write(`${JSON.stringify({ execute: next })}\n`);
    }
    if (command !== 'quit') throw new Error(`QEMU closed its monitor before it answered ${command}`);
  } finally {
    socket.destroy();
  }
}
