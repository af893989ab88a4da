// Follows a rollout to its end: bars that move on a terminal, a line for each change elsewhere.
import { createLogUpdate } from 'log-update';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from './cli-error.ts';
import type { CommandTools } from './command-tools.ts';
import { formatProgress } from './format-rollouts.ts';
import { PLAIN } from './style.ts';
import { rolloutAnswers } from './rollout-answers.ts';

const ASK_EVERY_MS = 1_000;
const GOES_ON: ReadonlySet<string> = new Set(['running', 'paused', 'draft']);

export async function watchRollout(path: string, tools: CommandTools): Promise<void> {
  const api = await tools.api();
  const screen =
    tools.errors.isTerminal && !tools.isJson() ? createLogUpdate(process.stderr, { showCursor: true }) : undefined;
  let said = '';
  for (;;) {
    const answer = await api.call({ method: 'GET', path });
    const progress = rolloutAnswers.progress.parse(answer);
    const { rollout } = progress;
    if (screen !== undefined) screen(formatProgress(progress, tools.errorStyle));
    else if (!tools.isJson() && formatProgress(progress, PLAIN) !== said) {
      said = formatProgress(progress, PLAIN);
      tools.errors.write(`${said}\n`);
    }
    if (!GOES_ON.has(rollout.state)) {
      screen?.clear();
      tools.show(answer, () => formatProgress(progress, tools.style));
      if (rollout.state === 'finished') return;
      throw new CliError('conflict', `Rollout ${rollout.id} is ${rollout.state}: ${rollout.stateReason}`);
    }
    await sleep(ASK_EVERY_MS, undefined, { signal: tools.interrupted });
  }
}
