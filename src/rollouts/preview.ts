// What a rollout would do, before anybody approves it: who, in which order and wave, how many bytes and how long at least. Pure.
import { canBeMember } from './joiners.ts';
import { runsTarget } from './member-steps.ts';
import type { RolloutSpec } from './rollout.ts';
import type { MachineView } from './rollout-world.ts';
import { selectorMatcher } from './selector.ts';
import { unavailableLimit } from './share.ts';
import { subnetOf } from './subnet.ts';
import { compareVersions } from './version-order.ts';
import { checkWaves, waveEnds, waveOfPlace } from './waves.ts';

interface PreviewMember {
  readonly place: number;
  readonly machine: MachineView;
  /** From 0. */
  readonly wave: number;
  /** Why it has nothing to do. */
  readonly skip?: string;
}

interface PreviewWave {
  /** All of the wave, those with nothing to do included. */
  readonly size: number;
  /** Names of those that take the image, in order. */
  readonly machines: readonly string[];
  readonly bytes: number;
  readonly leastMinutes: number;
}

export interface RolloutPreview {
  readonly members: readonly PreviewMember[];
  readonly waves: readonly PreviewWave[];
  readonly totalBytes: number;
  /** Soak times and subnet budgets alone: transfer, reboot, windows and offline machines come on top. */
  readonly leastMinutes: number;
}

/** The order is that of names, with numbers as numbers: node-2 before node-10. */
export function previewRollout(spec: RolloutSpec, machines: readonly MachineView[]): RolloutPreview {
  const fits = selectorMatcher(spec.selector);
  const chosen = machines.filter((machine) => canBeMember(machine) && fits(machine));
  chosen.sort((a, b) => compareVersions(a.name, b.name) || compareVersions(a.id, b.id));
  checkWaves(spec.waves, chosen.length);
  const ends = waveEnds(spec.waves, chosen.length);
  const members = chosen.map((machine, place): PreviewMember => {
    const member = { place, machine, wave: waveOfPlace(ends, place) };
    return runsTarget(machine, spec.image.digest) ? { ...member, skip: 'it runs the image already' } : member;
  });
  const waves = ends.map((end, wave): PreviewWave => {
    const all = members.slice(ends[wave - 1] ?? 0, end);
    const taking = all.filter(({ skip }) => skip === undefined).map(({ machine }) => machine);
    return {
      size: all.length,
      machines: taking.map(({ name }) => name),
      bytes: taking.length * spec.image.sizeBytes,
      leastMinutes: Math.ceil(leastSeconds(spec, taking, chosen.length) / 60),
    };
  });
  return {
    members,
    waves,
    totalBytes: waves.reduce((sum, { bytes }) => sum + bytes, 0),
    leastMinutes: waves.reduce((sum, { leastMinutes }) => sum + leastMinutes, 0),
  };
}

/** Machines that may not be under way together soak one after the other. */
function leastSeconds(spec: RolloutSpec, taking: readonly MachineView[], memberCount: number): number {
  if (taking.length === 0) return 0;
  const turns = [Math.ceil(taking.length / unavailableLimit(spec.maxUnavailable, memberCount))];
  for (const [label, most] of Object.entries(spec.budgets))
    for (const [value, count] of countBy(taking, ({ labels }) => labels[label]))
      if (value !== undefined) turns.push(Math.ceil(count / Math.max(1, most)));
  const soaking = Math.max(...turns) * spec.soakSeconds;
  if (spec.subnetBytesPerHour === undefined) return soaking;
  const perHour = Math.max(1, Math.floor(spec.subnetBytesPerHour / Math.max(1, spec.image.sizeBytes)));
  const hours = [...countBy(taking, ({ address }) => subnetOf(address)).values()].map((count) => {
    return Math.ceil(count / perHour) - 1;
  });
  return Math.max(soaking, Math.max(...hours) * 3600 + spec.soakSeconds);
}

function countBy<Key>(
  machines: readonly MachineView[],
  keyOf: (machine: MachineView) => Key,
): ReadonlyMap<Key, number> {
  const counts = new Map<Key, number>();
  for (const machine of machines) counts.set(keyOf(machine), (counts.get(keyOf(machine)) ?? 0) + 1);
  return counts;
}
