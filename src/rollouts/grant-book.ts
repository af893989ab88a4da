// What is under way, counted as the limits count it: the fleet, each value of a budgeted label, the bytes of each subnet.
// Grants of the decision at hand are booked too, so that one decision cannot pass a limit either.
import type { MachineId } from '../machines/machine.ts';
import { formatOpening, nextWindowOpening } from './maintenance-window.ts';
import { UNDER_WAY, type Member } from './rollout.ts';
import type { RolloutSheet } from './rollout-sheet.ts';
import type { MachineView } from './rollout-world.ts';
import type { Freeze, Pin } from './rollout-store.ts';
import { selectorMatcher } from './selector.ts';
import { unavailableLimit } from './share.ts';
import { subnetOf } from './subnet.ts';
import { compareVersions } from './version-order.ts';

const HOUR = 3_600_000;

interface SubnetUse {
  readonly bytes: number;
  /** When the first of them is an hour old. */
  readonly freesAt: number;
}

export class GrantBook {
  readonly sheet: RolloutSheet;
  readonly limit: number;
  /** Members of other rollouts that are under way, by machine. */
  readonly elsewhere: ReadonlyMap<MachineId, Member>;
  readonly pins: ReadonlyMap<MachineId, Pin>;
  /** When the window opens and how that is said; undefined while it is open or there is none. `at` is absent where it never does. */
  readonly closedUntil: { readonly at?: number; readonly text: string } | undefined;
  readonly #freezes: readonly { readonly freeze: Freeze; readonly fits: (machine: MachineView) => boolean }[];
  readonly #perLabel = new Map<string, number>();
  readonly #perSubnet = new Map<string, SubnetUse>();
  readonly #versionOrders = new Map<string, number>();
  #underWay = 0;

  constructor(sheet: RolloutSheet) {
    const { world, rollout, members } = sheet;
    this.sheet = sheet;
    this.limit = unavailableLimit(rollout.spec.maxUnavailable, rollout.memberCount);
    this.elsewhere = new Map(world.elsewhere.map((member) => [member.machineId, member]));
    this.pins = new Map(world.pins.map((pin) => [pin.machineId, pin]));
    this.closedUntil = closedUntil(sheet);
    this.#freezes = world.freezes
      .filter(({ from, until }) => from <= world.now && world.now < until)
      .map((freeze) => ({ freeze, fits: freezeMatcher(freeze) }));
    for (const member of members) {
      if (UNDER_WAY.has(member.state)) this.#underWay += 1;
      this.#book(member);
    }
    for (const member of world.elsewhere) this.#book(member);
  }

  get underWay(): number {
    return this.#underWay;
  }

  get isFull(): boolean {
    return this.#underWay >= this.limit;
  }

  /** How many are under way in all rollouts where this label has this value. */
  labelUse(label: string, value: string): number {
    return this.#perLabel.get(`${label}=${value}`) ?? 0;
  }

  /** What machines there were granted within the hour. The image of another rollout counts as large as this one's. */
  subnetUse(subnet: string): SubnetUse | undefined {
    return this.#perSubnet.get(subnet);
  }

  /** The freeze in force that ends last, of those that are for this machine. */
  freezeOf(machine: MachineView): Freeze | undefined {
    let last: Freeze | undefined;
    for (const { freeze, fits } of this.#freezes)
      if (fits(machine) && (last === undefined || freeze.until > last.until)) last = freeze;
    return last;
  }

  /** `compareVersions`, once for each pair: a fleet runs few versions. */
  versionOrder(a: string, b: string): number {
    const key = `${a}\n${b}`;
    const known = this.#versionOrders.get(key);
    if (known !== undefined) return known;
    const order = compareVersions(a, b);
    this.#versionOrders.set(key, order);
    return order;
  }

  grant(granted: Member): void {
    this.#underWay += 1;
    this.#book(granted);
  }

  #book(member: Member): void {
    const { spec } = this.sheet.rollout;
    const { now, machines } = this.sheet.world;
    const machine = machines.get(member.machineId);
    if (machine === undefined) return;
    if (UNDER_WAY.has(member.state))
      for (const label of Object.keys(spec.budgets)) {
        const value = machine.labels[label];
        if (value === undefined) continue;
        const key = `${label}=${value}`;
        this.#perLabel.set(key, (this.#perLabel.get(key) ?? 0) + 1);
      }
    const { grantedAt } = member;
    // A grant that lies far ahead is one from before the clock was put back.
    if (spec.subnetBytesPerHour === undefined || grantedAt === undefined || Math.abs(now - grantedAt) >= HOUR) return;
    const subnet = subnetOf(machine.address);
    const { bytes, freesAt } = this.#perSubnet.get(subnet) ?? { bytes: 0, freesAt: Infinity };
    const next = { bytes: bytes + spec.image.sizeBytes, freesAt: Math.min(freesAt, grantedAt + HOUR) };
    this.#perSubnet.set(subnet, next);
  }
}

function freezeMatcher({ labels }: Freeze): (machine: MachineView) => boolean {
  const wanted = Object.fromEntries(Object.entries(labels).map(([label, value]) => [label, [value]]));
  return selectorMatcher({ labels: wanted, machines: [] });
}

function closedUntil({ rollout, world }: RolloutSheet): GrantBook['closedUntil'] {
  const { window } = rollout.spec;
  if (window === undefined) return undefined;
  const at = nextWindowOpening(window, world.now);
  if (at === undefined) return { text: 'never opens' };
  return at === world.now ? undefined : { at, text: `opens ${formatOpening(window, at)}` };
}
