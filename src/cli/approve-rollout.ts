// Approves a draft: what is signed is read from the server, held against what the draft says, and signed where the person is.
import { resolve } from 'node:path';
import { loadSigner } from '../crypto/image-keys.ts';
import { CliError } from './cli-error.ts';
import type { CommandTools } from './command-tools.ts';
import { formatRollouts } from './format-rollouts.ts';
import { layoutOf } from './layout.ts';
import { rolloutAnswers, type RolloutAnswer } from './rollout-answers.ts';

export async function approveRollout(id: string, keyFile: string | undefined, tools: CommandTools): Promise<void> {
  const api = await tools.api();
  const path = `/rollouts/${encodeURIComponent(id)}`;
  const signature = keyFile === undefined ? undefined : await sign(path, keyFile, tools);
  const json = signature === undefined ? {} : { signature };
  const answer = await api.call({ method: 'POST', path: `${path}/approve`, json });
  const { rollout } = rolloutAnswers.one.parse(answer);
  tools.show(answer, () => formatRollouts([rollout], tools.clock.now(), layoutOf(tools)));
}

/** Base64. A server that shows one thing and has another signed is found out here. */
async function sign(path: string, keyFile: string, tools: CommandTools): Promise<string> {
  const signer = await loadSigner(resolve(tools.workingDirectory, keyFile));
  const api = await tools.api();
  const { rollout } = rolloutAnswers.progress.parse(await api.call({ method: 'GET', path }));
  const { document } = rolloutAnswers.document.parse(await api.call({ method: 'GET', path: `${path}/document` }));
  const missing = linesOf(rollout).filter((line) => !document.split('\n').includes(line));
  if (missing.length > 0)
    throw new CliError(
      'conflict',
      `The server wants something signed that is not this rollout: ${missing.join(', ')} is missing in it. Nothing was signed.`,
    );
  tools.errors.write(`  ${tools.errorStyle.faint('signing')}\n${document.replaceAll(/^(?=.)/gm, '    ')}`);
  return Buffer.from(signer.sign(Buffer.from(document))).toString('base64');
}

function linesOf({ id, spec }: RolloutAnswer): readonly string[] {
  const { repository, digest, bootDigest, version = '-' } = spec.image;
  return [
    `rollout=${id}`,
    `repository=${repository}`,
    `image=${digest}`,
    `boot=${bootDigest}`,
    `version=${version}`,
    `downgrade=${spec.allowDowngrade ? 'yes' : 'no'}`,
  ];
}
