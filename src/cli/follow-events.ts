// Events as they happen, across lost connections: each event comes once and in order.
import { setTimeout as sleep } from 'node:timers/promises';
import type { BootEvent } from '../events/boot-event.ts';
import type { ApiClient } from './api-client.ts';
import { bootEventSchema } from './api-answers.ts';
import { CliError } from './cli-error.ts';
import type { CommandTools } from './command-tools.ts';
import { readEventStream } from './read-event-stream.ts';

const RETRY_MS = 1000;

export interface Following {
  readonly machine: string | undefined;
  readonly kind: string | undefined;
  readonly afterSeq: number;
}

/** Ends when the person interrupts. Throws CliError where the server refuses, or is not there in the first place. */
export async function* followEvents(
  api: Pick<ApiClient, 'stream'>,
  following: Following,
  tools: Pick<CommandTools, 'interrupted' | 'errors' | 'errorStyle'>,
): AsyncGenerator<BootEvent> {
  const remark = (text: string): void => {
    tools.errors.write(`  ${tools.errorStyle.faint(text)}\n`);
  };
  const isOver = (): boolean => tools.interrupted.aborted;
  let { afterSeq } = following;
  let state: 'first' | 'connected' | 'lost' = 'first';
  while (!isOver()) {
    try {
      const query = { after: afterSeq, machine: following.machine };
      const bytes = await api.stream({ method: 'GET', path: '/events/stream', query });
      if (state === 'lost') remark('… connected again');
      state = 'connected';
      for await (const data of readEventStream(bytes)) {
        const event = bootEventSchema.parse(JSON.parse(data));
        afterSeq = Math.max(afterSeq, event.seq);
        if (following.kind === undefined || event.kind === following.kind) yield event;
      }
    } catch (error) {
      if (isOver()) return;
      if (state === 'first' || !isConnectionLoss(error)) throw error;
      if (state === 'connected') remark('… the connection is lost, trying again');
      state = 'lost';
    }
    await sleep(RETRY_MS, undefined, { signal: tools.interrupted }).catch(() => undefined);
  }
}

/** undici's own codes begin with UND_ERR, the system's with E. */
function isConnectionLoss(error: unknown): boolean {
  if (error instanceof CliError) return error.code === 'server-unreachable';
  return error instanceof Error && 'code' in error && /^(UND_ERR|E[A-Z]+$)/.test(String(error.code));
}
