// `muster rollouts …`: make, preview, approve, watch, hold and take back; and why a machine is left where it is.
import { InvalidArgumentError, Option, type Command } from 'commander';
import { collectLabel, parseCount, parseDurationSeconds } from './parse-arguments.ts';
import type { CommandTools } from './command-tools.ts';
import { formatFreezes, formatPreview, formatRollout, formatRollouts, formatWhy } from './format-rollouts.ts';
import { layoutOf } from './layout.ts';
import { approveRollout } from './approve-rollout.ts';
import { rolloutAnswers } from './rollout-answers.ts';
import { watchRollout } from './watch-rollout.ts';
import { makeKeyPair } from './make-key-pair.ts';

const UNITS: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 };

interface CreateOptions {
  readonly image: string;
  readonly to: string;
  readonly waves?: string;
  readonly maxUnavailable?: string;
  readonly maxFailures?: string;
  readonly minSample?: number;
  readonly soak?: number;
  readonly deadline?: number;
  readonly window?: string;
  readonly budget?: Readonly<Record<string, string>>;
  readonly subnetBytes?: number;
  readonly allowDowngrade?: boolean;
  readonly autoRollback?: boolean;
  readonly joiners?: string;
  readonly note?: string;
}

export function addRolloutsCommand(program: Command, tools: CommandTools): void {
  const rollouts = program
    .command('rollouts')
    .description('bring an image to the fleet in waves: create, approve, watch, pause, rollback, why');
  addCreate(rollouts, tools);
  addQuestions(rollouts, tools);
  addDecisions(rollouts, tools);
  addFreezes(rollouts, tools);
}

function addCreate(rollouts: Command, tools: CommandTools): void {
  rollouts
    .command('create')
    .description('make a draft and show what it would do; nothing happens before it is approved')
    .requiredOption('--image <reference>', 'NAME:TAG, NAME@CHANNEL or NAME@DIGEST')
    .requiredOption('--to <selector>', "labels, as in 'group=edge,site=berlin|paris'; 'machine=NAME|NAME'; '*' for all")
    .option('--waves <list>', 'machines or shares of all, each with those before it (default: 1,10%,50%,100%)')
    .option('--max-unavailable <share>', 'under way at the same time (default: 5%)')
    .option('--max-failures <share>', 'of a wave, and of all; one more halts (default: 2%)')
    .option('--min-sample <count>', 'in smaller waves no failure is tolerated (default: 10)', parseNumber)
    .option('--soak <time>', 'a machine has to stay healthy for so long (default: 30m)', parseDurationSeconds)
    .option('--deadline <time>', 'a machine has to boot the image within (default: 2h)', parseDurationSeconds)
    .option('--window <times>', "when machines may restart, as in 'Sat 01:00–05:00 Europe/Berlin'")
    .option('--budget <label=count>', 'at most so many with the same value under way; may be repeated', collectLabel)
    .option(
      '--subnet-bytes <size/h>',
      'what machines of one subnet may load in an hour, as in 10GiB/h',
      parseBytesPerHour,
    )
    .option('--allow-downgrade', 'machines that run a newer version take it too')
    .option('--auto-rollback', 'after a halt, lead the machines back to what they ran')
    .addOption(new Option('--joiners <rule>', 'machines that fit later').choices(['last-wave', 'ignore']))
    .option('--note <text>', 'why, for the record')
    .action(async (options: CreateOptions) => {
      const answer = await (await tools.api()).call({ method: 'POST', path: '/rollouts', json: bodyOf(options) });
      const { rollout, preview } = rolloutAnswers.created.parse(answer);
      tools.show(answer, () => formatPreview(rollout, preview, layoutOf(tools)));
    });
}

function addQuestions(rollouts: Command, tools: CommandTools): void {
  rollouts
    .command('list')
    .description('all rollouts, the newest first')
    .action(async () => {
      const answer = await (await tools.api()).call({ method: 'GET', path: '/rollouts' });
      const { rollouts: found } = rolloutAnswers.list.parse(answer);
      tools.show(answer, () => formatRollouts(found, tools.clock.now(), layoutOf(tools)));
    });
  rollouts
    .command('show')
    .description('one rollout: its waves, and where each machine is')
    .argument('<id>')
    .action(async (id: string) => {
      const answer = await (await tools.api()).call({ method: 'GET', path: pathOf(id) });
      const progress = rolloutAnswers.progress.parse(answer);
      tools.show(answer, () => formatRollout(progress, tools.clock.now(), layoutOf(tools)));
    });
  rollouts
    .command('watch')
    .description('follow a rollout to its end; exit code 1 where it halts or was aborted')
    .argument('<id>')
    .action((id: string) => watchRollout(pathOf(id), tools));
  rollouts
    .command('why')
    .description('every rule that holds a machine back')
    .argument('<machine>', 'id, its beginning, MAC address or host name')
    .action(async (ref: string) => {
      const path = `/machines/${encodeURIComponent(ref)}/rollouts`;
      const answer = await (await tools.api()).call({ method: 'GET', path });
      const why = rolloutAnswers.why.parse(answer);
      tools.show(answer, () => formatWhy(why, layoutOf(tools)));
    });
}

function addDecisions(rollouts: Command, tools: CommandTools): void {
  rollouts
    .command('approve')
    .description('let a draft begin; with a key of an operator where the server asks for one')
    .argument('<id>')
    .option('--key <file>', 'private key of an operator: PEM, P-256; it stays here')
    .action((id: string, { key }: { key?: string }) => approveRollout(id, key, tools));
  for (const [verb, description] of [
    ['pause', 'nobody new begins; who is under way goes on'],
    ['resume', 'go on; after a halt, the failures so far are accepted'],
    ['abort', 'end it; who has not left for the image stays where it is'],
  ] as const)
    rollouts
      .command(verb)
      .description(description)
      .argument('<id>')
      .option('--note <text>', 'why, for the record', '')
      .action(async (id: string, { note }: { note: string }) => {
        const answer = await (
          await tools.api()
        ).call({ method: 'POST', path: `${pathOf(id)}/${verb}`, json: { note } });
        const { rollout } = rolloutAnswers.one.parse(answer);
        tools.show(answer, () => formatRollouts([rollout], tools.clock.now(), layoutOf(tools)));
      });
  rollouts
    .command('rollback')
    .description('end a rollout and make drafts that lead its machines back; with --key they begin at once')
    .argument('<id>')
    .option('--key <file>', 'private key of an operator')
    .option('--yes', 'approve the drafts where no key is asked for')
    .action(async (id: string, { key, yes }: { key?: string; yes?: boolean }) => {
      const answer = await (await tools.api()).call({ method: 'POST', path: `${pathOf(id)}/rollback`, json: {} });
      const { rollouts: drafts } = rolloutAnswers.list.parse(answer);
      tools.show(answer, () =>
        drafts.length === 0
          ? '  No machine was changed by it: nothing to take back.\n'
          : formatRollouts(drafts, tools.clock.now(), layoutOf(tools)),
      );
      if (key !== undefined || yes === true) for (const draft of drafts) await approveRollout(draft.id, key, tools);
    });
  rollouts
    .command('keygen')
    .description('make a key pair for operators or releases: NAME.key, which nobody else may have, and NAME.pub')
    .argument('<name>')
    .action((name: string) => makeKeyPair(name, tools));
}

function addFreezes(rollouts: Command, tools: CommandTools): void {
  rollouts
    .command('freeze')
    .description('no machine with these labels is granted anything for a time')
    .requiredOption('--to <selector>', "labels, as in 'site=berlin'; '*' for all")
    .requiredOption('--for <time>', 'how long, as in 3d', parseDurationSeconds)
    .requiredOption('--note <text>', 'why')
    .action(async (options: { to: string; for: number; note: string }) => {
      const { to, note } = options;
      const json = { to, note, until: tools.clock.now() + options.for * 1000 };
      const answer = await (await tools.api()).call({ method: 'POST', path: '/freezes', json });
      const { freeze } = rolloutAnswers.freeze.parse(answer);
      tools.show(answer, () => formatFreezes([freeze], tools.clock.now(), layoutOf(tools)));
    });
  rollouts
    .command('freezes')
    .description('what is frozen, or will be')
    .action(async () => {
      const answer = await (await tools.api()).call({ method: 'GET', path: '/freezes' });
      const { freezes } = rolloutAnswers.freezes.parse(answer);
      tools.show(answer, () => formatFreezes(freezes, tools.clock.now(), layoutOf(tools)));
    });
  rollouts
    .command('thaw')
    .description('end a freeze')
    .argument('<id>')
    .action(async (id: string) => {
      await (await tools.api()).call({ method: 'DELETE', path: `/freezes/${encodeURIComponent(id)}` });
      tools.show({ id }, () => `  ${tools.style.good('✓')} ${id} is lifted\n`);
    });
}

function bodyOf(options: CreateOptions): object {
  const { minSample, soak, deadline, budget, subnetBytes, ...same } = options;
  return {
    ...same,
    ...(minSample !== undefined && { minimumSample: minSample }),
    ...(soak !== undefined && { soakSeconds: soak }),
    ...(deadline !== undefined && { deadlineSeconds: deadline }),
    ...(subnetBytes !== undefined && { subnetBytesPerHour: subnetBytes }),
    ...(budget !== undefined && {
      budgets: Object.fromEntries(Object.entries(budget).map(([label, count]) => [label, parseCount(count)])),
    }),
  };
}

function parseNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Write a whole number.');
  return Number(text);
}

/** `10GiB/h`. */
function parseBytesPerHour(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,9}(?:\.\d+)?)(KiB|MiB|GiB|TiB)\/h$/.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('Write a size like 500MiB/h or 10GiB/h.');
  return Math.round(Number(digits) * (UNITS[unit] ?? 1));
}

function pathOf(id: string): string {
  return `/rollouts/${encodeURIComponent(id)}`;
}
