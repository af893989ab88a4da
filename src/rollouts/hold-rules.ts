// Every rule that can keep a waiting machine from being granted the image. One row a rule; decideWave asks for the first that
// holds, `why` for all of them, so that both can never differ.
import type { GrantBook } from './grant-book.ts';
import { formatMaintenanceWindow } from './maintenance-window.ts';
import { lastHeard } from './member-steps.ts';
import type { Member } from './rollout.ts';
import type { MachineView } from './rollout-world.ts';
import { formatShare } from './share.ts';
import { subnetOf } from './subnet.ts';
import { sayBytes, sayDuration, sayMachines, sayMoment } from './words.ts';

/** What a rule found. Its sentence is made only where somebody reads it: a decision asks for thousands of machines. */
export interface Found {
  readonly detail: () => string;
  /** When it lifts by itself; absent where something has to happen first. */
  readonly until?: number;
}

type Rule = (book: GrantBook, member: Member, machine: MachineView) => Found | undefined;

/** In the order in which they are named: what is wrong with the machine before what it merely waits for. */
const HOLD_RULES = {
  draft: ({ sheet }) =>
    sheet.rollout.state === 'draft' ? found('the rollout is a draft: an operator has to approve it') : undefined,

  paused: ({ sheet: { rollout } }) =>
    rollout.state === 'paused'
      ? found(`the rollout is paused (${rollout.stateReason}) until it is resumed`)
      : undefined,

  halted: ({ sheet: { rollout } }) =>
    rollout.state === 'halted'
      ? found(`the rollout halted (${rollout.stateReason}) until a person resumes it, aborts it or rolls it back`)
      : undefined,

  ended: ({ sheet: { rollout } }) =>
    rollout.state === 'aborted' || rollout.state === 'finished' ? found(`the rollout is ${rollout.state}`) : undefined,

  wave: ({ sheet }, member) => {
    const { rollout, waves } = sheet;
    const turn = sheet.waveOf(member);
    if (turn <= rollout.wave) return undefined;
    return lazily(() => {
      const { ended = 0, members = 0 } = waves[rollout.wave] ?? {};
      const present =
        rollout.wave < 0 ? 'none has begun' : `wave ${rollout.wave + 1} has ended for ${ended} of ${members}`;
      return `its turn is wave ${turn + 1} of ${waves.length}, and ${present}`;
    });
  },

  'not-active': (_book, _member, machine) =>
    machine.state === 'active'
      ? undefined
      : lazily(() => `it is ${machine.state}: it has to be active, configured and with an agent that reports health`),

  trial: ({ sheet: { rollout } }, _member, { running }) =>
    running?.slotState === 'trial'
      ? lazily(() => {
          const what = running.image === rollout.spec.image.digest ? 'this very image' : 'another image';
          return `its disk has ${what} on trial: it is granted nothing before that slot is good or has fallen back`;
        })
      : undefined,

  pin: ({ pins }, member) => {
    const pin = pins.get(member.machineId);
    return pin && lazily(() => `${pin.by} pinned it to what it runs (${pin.note}); unpinning lifts it`);
  },

  freeze: (book, _member, machine) => {
    const freeze = book.freezeOf(machine);
    return (
      freeze && lazily(() => `${freeze.by} froze it until ${sayMoment(freeze.until)} (${freeze.note})`, freeze.until)
    );
  },

  'other-rollout': ({ elsewhere }, member) => {
    const other = elsewhere.get(member.machineId);
    return other && lazily(() => `it is ${other.state} in rollout ${other.rolloutId}, which has to end for it first`);
  },

  'stepping-stone': (book, _member, machine) => {
    const { requiresVersion } = book.sheet.rollout.spec.image;
    if (requiresVersion === undefined) return undefined;
    const { version } = machine.running ?? {};
    if (version !== undefined)
      return book.versionOrder(version, requiresVersion) < 0
        ? lazily(
            () => `it runs version ${version}, and the image wants ${requiresVersion} at least: take that one first`,
          )
        : undefined;
    // What runs from RAM leaves nothing behind that a later version could not read.
    return machine.installed
      ? lazily(() => `the image wants version ${requiresVersion} at least, and what it runs is not known`)
      : undefined;
  },

  downgrade: (book, _member, machine) => {
    const { image, allowDowngrade } = book.sheet.rollout.spec;
    const { version } = machine.running ?? {};
    if (allowDowngrade || image.version === undefined || version === undefined) return undefined;
    if (book.versionOrder(image.version, version) >= 0) return undefined;
    const next = image.version;
    return lazily(
      () => `it runs version ${version}, which is newer than ${next}; a rollout that allows downgrades lifts it`,
    );
  },

  offline: ({ sheet: { world } }, _member, machine) => {
    if (lastHeard(machine, world) === 'recently') return undefined;
    const { now, offlineAfterMs } = world;
    return lazily(() =>
      machine.lastSeenAt > now
        ? 'it was not heard of since the clock of the server was put back; its next heartbeat lifts it'
        : `it is offline: last heard of ${sayDuration(now - machine.lastSeenAt)} ago, ${sayDuration(offlineAfterMs)} is the limit`,
    );
  },

  window: ({ closedUntil, sheet: { rollout } }) => {
    const { window } = rollout.spec;
    if (closedUntil === undefined || window === undefined) return undefined;
    return lazily(
      () => `outside of the window ${formatMaintenanceWindow(window)}, which ${closedUntil.text}`,
      closedUntil.at,
    );
  },

  'max-unavailable': (book) => {
    if (!book.isFull) return undefined;
    const { spec, memberCount } = book.sheet.rollout;
    return lazily(
      () =>
        `${sayMachines(book.underWay)} of this rollout are under way, at most ${book.limit} may be ` +
        `(${formatShare(spec.maxUnavailable)} of ${memberCount}); the end of one lifts it`,
    );
  },

  budget: (book, _member, machine) => {
    const reached = Object.entries(book.sheet.rollout.spec.budgets).find(([label, most]) => {
      const value = machine.labels[label];
      return value !== undefined && book.labelUse(label, value) >= most;
    });
    if (reached === undefined) return undefined;
    const [label, most] = reached;
    const value = machine.labels[label] ?? '';
    return lazily(
      () =>
        `${sayMachines(book.labelUse(label, value))} with ${label}=${value} are under way over all rollouts, ` +
        `at most ${most} may be; the end of one lifts it`,
    );
  },

  'subnet-bytes': (book, _member, machine) => {
    const { subnetBytesPerHour, image } = book.sheet.rollout.spec;
    if (subnetBytesPerHour === undefined) return undefined;
    if (image.sizeBytes > subnetBytesPerHour)
      return lazily(
        () =>
          `the image has ${sayBytes(image.sizeBytes)}, more than a subnet may have in an hour ` +
          `(${sayBytes(subnetBytesPerHour)}): only a rollout with a larger budget lifts it`,
      );
    const subnet = subnetOf(machine.address);
    const use = book.subnetUse(subnet);
    if (use === undefined || use.bytes + image.sizeBytes <= subnetBytesPerHour) return undefined;
    return lazily(
      () =>
        `${subnet} was granted ${sayBytes(use.bytes)} within the hour, and ${sayBytes(image.sizeBytes)} more would pass its ` +
        `${sayBytes(subnetBytesPerHour)}; the first of it lapses at ${sayMoment(use.freesAt)}`,
      use.freesAt,
    );
  },
} as const satisfies Readonly<Record<string, Rule>>;

export type HoldRule = keyof typeof HOLD_RULES;

const ROWS: readonly (readonly [HoldRule, Rule])[] = Object.entries(HOLD_RULES) as [HoldRule, Rule][];

function found(detail: string): Found {
  return { detail: () => detail };
}

function lazily(detail: () => string, until?: number): Found {
  return until === undefined ? { detail } : { detail, until };
}

/** The first rule that holds this member back. */
export function firstHold(
  book: GrantBook,
  member: Member,
  machine: MachineView,
): (Found & { rule: HoldRule }) | undefined {
  for (const [rule, check] of ROWS) {
    const hold = check(book, member, machine);
    if (hold !== undefined) return { rule, ...hold };
  }
  return undefined;
}

export function allHolds(
  book: GrantBook,
  member: Member,
  machine: MachineView,
): readonly (Found & { rule: HoldRule })[] {
  return ROWS.flatMap(([rule, check]) => {
    const hold = check(book, member, machine);
    return hold === undefined ? [] : [{ rule, ...hold }];
  });
}
