// Why a machine is not granted the image, and what a rollout waits for: the rules of decideWave, told to people. Pure.
import { GrantBook } from './grant-book.ts';
import { allHolds, firstHold, type HoldRule } from './hold-rules.ts';
import type { MachineId } from '../machines/machine.ts';
import { UNDER_WAY } from './rollout.ts';
import { hasEnded, RolloutSheet } from './rollout-sheet.ts';
import type { RolloutWorld } from './rollout-world.ts';

export interface Hold {
  readonly rule: HoldRule | 'not-a-member' | 'member-ended';
  /** One sentence, with the numbers and what would lift it. */
  readonly detail: string;
  /** When it lifts by itself, as far as is known. */
  readonly until?: number;
}

/** All rules that hold this machine back, not the first alone. None: it is under way, or has its turn with the next decision. */
export function holdsOf(world: RolloutWorld, machineId: MachineId): readonly Hold[] {
  const sheet = new RolloutSheet(world);
  const member = sheet.members.find((candidate) => candidate.machineId === machineId);
  if (member === undefined) return [{ rule: 'not-a-member', detail: 'it is no member of this rollout' }];
  const machine = sheet.machineOf(member);
  if (hasEnded(member.state)) return [{ rule: 'member-ended', detail: `it ${endOf(member.state)}: ${member.reason}` }];
  if (UNDER_WAY.has(member.state) || machine === undefined) return [];
  return allHolds(new GrantBook(sheet), member, machine).map(({ rule, detail, until }) => {
    return { rule, detail: detail(), ...(until === undefined ? {} : { until }) };
  });
}

/** `3 machines are offline, 2 wait for the window that opens Sat 01:00`; undefined where the rollout has come to its end. */
export function waitingFor(world: RolloutWorld): string | undefined {
  const { rollout } = world;
  const sheet = new RolloutSheet(world);
  const groups = new Map<string, number>();
  const add = (rule: string): void => void groups.set(rule, (groups.get(rule) ?? 0) + 1);
  for (const { state } of sheet.members) if (UNDER_WAY.has(state)) add('under-way');
  if (rollout.state === 'finished' || (rollout.state === 'aborted' && groups.size === 0)) return undefined;
  if (rollout.state === 'draft') return 'an operator has to approve it';
  const book = new GrantBook(sheet);
  if (rollout.state === 'running')
    for (const member of sheet.members) {
      const machine = sheet.machineOf(member);
      if (member.state !== 'waiting' || machine === undefined || sheet.waveOf(member) > rollout.wave) continue;
      add(firstHold(book, member, machine)?.rule ?? 'next');
    }
  const parts = [...groups].map(([rule, count]) => [count, phraseOf(rule, count, book)] as const);
  const counted = parts.map(([count, phrase], index) => `${count}${index > 0 ? '' : machinesOf(count)} ${phrase}`);
  if (rollout.state === 'paused') counted.push('a person has to resume it');
  if (rollout.state === 'halted') counted.push('a person has to resume it, abort it or roll it back');
  return counted.length === 0 ? 'its next decision' : counted.join(', ');
}

function machinesOf(count: number): string {
  return count === 1 ? ' machine' : ' machines';
}

function phraseOf(rule: string, count: number, book: GrantBook): string {
  const one = count === 1;
  const is = one ? 'is' : 'are';
  const wait = one ? 'waits' : 'wait';
  switch (rule) {
    case 'under-way':
      return `${is} under way`;
    case 'next':
      return `${is} next`;
    case 'not-active':
      return `${is} not active`;
    case 'offline':
      return `${is} offline`;
    case 'pin':
      return `${is} pinned`;
    case 'freeze':
      return `${is} frozen`;
    case 'window':
      return `${wait} for the window that ${book.closedUntil?.text ?? 'is closed'}`;
    case 'other-rollout':
      return `${is} under way in another rollout`;
    case 'stepping-stone':
      return `${one ? 'needs' : 'need'} an image between first`;
    case 'downgrade':
      return `${one ? 'runs' : 'run'} a newer version`;
    case 'trial':
      return `${one ? 'has' : 'have'} an image on trial`;
    case 'budget':
      return `${wait} for the budget of a label`;
    case 'subnet-bytes':
      return `${wait} for the budget of a subnet`;
    default:
      return `${wait} for a place under the limit`;
  }
}

function endOf(state: string): string {
  return state === 'skipped' ? 'was skipped' : state;
}
