// Which machines a rollout is for: at its making, and later, as the fleet grows. Pure.
import type { MachineState } from '../machines/machine.ts';
import type { Member, Rollout } from './rollout.ts';
import type { MachineView } from './rollout-world.ts';
import { selectorMatcher } from './selector.ts';

/** These have no system of their own yet, or none any more: what they boot next is not for a rollout to say. */
const OUTSIDE: ReadonlySet<MachineState> = new Set(['discovered', 'approved', 'retired']);

export function canBeMember({ state }: MachineView): boolean {
  return !OUTSIDE.has(state);
}

/** Members to append: machines that fit the selector now and run something else. They come last, in the last wave. */
export function joinersOf(
  rollout: Rollout,
  members: readonly Member[],
  machines: readonly MachineView[],
): readonly Member[] {
  const { id, spec, state, memberCount, stateSince } = rollout;
  if (spec.joiners === 'ignore' || (state !== 'running' && state !== 'paused')) return [];
  const known = new Set(members.map(({ machineId }) => machineId));
  const fits = selectorMatcher(spec.selector);
  return machines
    .filter((machine) => !known.has(machine.id) && canBeMember(machine) && fits(machine))
    .filter(({ running }) => running !== undefined && running.image !== spec.image.digest)
    .map((machine, index) => ({
      rolloutId: id,
      machineId: machine.id,
      place: memberCount + index,
      state: 'waiting',
      reason: 'it joined the fleet after the rollout began',
      since: stateSince,
    }));
}
