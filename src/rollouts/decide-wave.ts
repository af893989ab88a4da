// Who is granted the image now, which wave begins, when a rollout halts or is finished: one step, and pure. With the result and
// the same world it changes nothing more, so a server may be killed between any two steps.
import { passedLimit } from './failure-limit.ts';
import { GrantBook } from './grant-book.ts';
import { firstHold } from './hold-rules.ts';
import { advanceMember, nextLookAt, runsTarget } from './member-steps.ts';
import { UNDER_WAY, type Member } from './rollout.ts';
import { RolloutSheet } from './rollout-sheet.ts';
import type { Decision, MachineView, RolloutWorld } from './rollout-world.ts';

export { joinersOf } from './joiners.ts';
export type { RolloutWorld } from './rollout-world.ts';

export function decideWave(world: RolloutWorld): Decision {
  if (world.rollout.state === 'draft' || world.rollout.state === 'finished')
    return { rollout: world.rollout, members: [], events: [] };
  const sheet = new RolloutSheet(world);
  advanceAll(sheet);
  if (sheet.rollout.state === 'aborted') callBack(sheet);
  else settleWaves(sheet);
  const grantAgainAt = sheet.rollout.state === 'running' ? grantAll(sheet) : undefined;
  const nextAt = earliest([grantAgainAt, ...sheet.members.map((member) => lookAt(member, world))]);
  return {
    rollout: sheet.rollout,
    members: sheet.changedMembers,
    events: sheet.events,
    ...(nextAt === undefined ? {} : { nextAt }),
  };
}

function advanceAll(sheet: RolloutSheet): void {
  for (let index = 0; index < sheet.members.length; index += 1)
    for (let member = sheet.members[index]; member !== undefined && UNDER_WAY.has(member.state);) {
      const next = advanceMember(member, sheet.world);
      sheet.replace(index, next);
      member = next === member ? undefined : next;
    }
}

/** What has not left for the image yet stays where it is; the others are waited for, since a boot cannot be called back. */
function callBack(sheet: RolloutSheet): void {
  sheet.members.forEach((member, index) => {
    if (member.state === 'waiting' || member.state === 'granted' || member.state === 'updating')
      sheet.replace(index, { ...member, state: 'skipped', reason: 'the rollout was aborted', since: sheet.world.now });
  });
}

/** A passed limit wins over the end of the very same wave. */
function settleWaves(sheet: RolloutSheet): void {
  const isRunning = sheet.rollout.state === 'running';
  if (isRunning) skipUpTo(sheet, sheet.rollout.wave);
  for (;;) {
    if (sheet.rollout.state === 'halted') return;
    const passed = passedLimit(sheet);
    if (passed !== undefined) {
      sheet.setState('halted', passed);
      return;
    }
    const { wave } = sheet.rollout;
    if (wave >= 0 && !sheet.hasEndedUpTo(wave)) return;
    if (wave >= sheet.waves.length - 1) {
      sheet.setState('finished', summary(sheet));
      return;
    }
    if (!isRunning) return;
    sheet.beginWave(wave + 1);
    skipUpTo(sheet, wave + 1);
  }
}

/** Of the waves that have begun: members for which there is nothing to do. */
function skipUpTo(sheet: RolloutSheet, wave: number): void {
  sheet.members.forEach((member, index) => {
    if (member.state !== 'waiting' || sheet.waveOf(member) > wave) return;
    const reason = reasonToSkip(sheet.machineOf(member), sheet.world);
    if (reason !== undefined) sheet.replace(index, { ...member, state: 'skipped', reason, since: sheet.world.now });
  });
}

function reasonToSkip(machine: MachineView | undefined, world: RolloutWorld): string | undefined {
  if (machine === undefined) return 'it is not on record any more';
  if (machine.state === 'retired') return 'it was retired';
  return runsTarget(machine, world.rollout.spec.image.digest) ? 'it ran the image already' : undefined;
}

/** In the order of places. Gives the moment at which the first hold lifts by itself. */
function grantAll(sheet: RolloutSheet): number | undefined {
  const book = new GrantBook(sheet);
  const moments: (number | undefined)[] = [];
  for (const [index, member] of sheet.members.entries()) {
    if (book.isFull || sheet.waveOf(member) > sheet.rollout.wave) break;
    const machine = sheet.machineOf(member);
    if (member.state !== 'waiting' || machine === undefined) continue;
    const hold = firstHold(book, member, machine);
    if (hold !== undefined) {
      moments.push(hold.until);
      continue;
    }
    const granted = grantOf(member, machine, sheet.world);
    sheet.replace(index, granted);
    book.grant(granted);
  }
  return earliest(moments);
}

function grantOf(member: Member, { running }: MachineView, { now, rollout }: RolloutWorld): Member {
  const granted: Member = { ...member, state: 'granted', reason: 'its turn has come', since: now, grantedAt: now };
  if (running === undefined) return granted;
  const { image: digest, repository = rollout.spec.image.repository, bootId } = running;
  return { ...granted, bootId, from: { digest, repository } };
}

function lookAt(member: Member, world: RolloutWorld): number | undefined {
  return UNDER_WAY.has(member.state) ? nextLookAt(member, world) : undefined;
}

function summary({ members }: RolloutSheet): string {
  const count = (state: Member['state']): number => members.filter((member) => member.state === state).length;
  return `${count('succeeded')} succeeded, ${count('failed')} failed, ${count('skipped')} skipped`;
}

function earliest(moments: readonly (number | undefined)[]): number | undefined {
  let first = Infinity;
  for (const moment of moments) if (moment !== undefined && moment < first) first = moment;
  return first === Infinity ? undefined : first;
}
