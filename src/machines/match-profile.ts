// Which profile a machine gets, and why the others not. Pure: what `muster machines explain` prints is what decides.
import ipaddr from 'ipaddr.js';
import type { Profile } from './profile.ts';

/** What profiles look at. Any of it may be unknown, and an unknown fact matches no condition. */
export interface MatchFacts {
  readonly macs: readonly string[];
  readonly uuid?: string;
  readonly serial?: string;
  readonly architecture?: string;
  readonly vendor?: string;
  readonly product?: string;
  readonly address?: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Candidate {
  readonly profile: string;
  readonly priority: number;
  readonly matches: boolean;
  /** A sentence for each condition that was looked at, and for the winner's place. */
  readonly reasons: readonly string[];
}

export interface ProfileMatch {
  readonly winner?: Profile;
  /** All profiles in the order in which they were asked. */
  readonly candidates: readonly Candidate[];
}

export function matchProfile(profiles: readonly Profile[], facts: MatchFacts): ProfileMatch {
  const ranked = [...profiles].sort(byRank);
  const checked = ranked.map((profile) => ({ profile, conditions: conditionsOf(profile, facts) }));
  const winner = checked.find(({ conditions }) => conditions.every(({ holds }) => holds))?.profile;
  return {
    ...(winner === undefined ? {} : { winner }),
    candidates: checked.map(({ profile, conditions }) => describe(profile, conditions, winner)),
  };
}

interface Condition {
  readonly holds: boolean;
  readonly reason: string;
}

function byRank(a: Profile, b: Profile): number {
  return (
    b.priority - a.priority || Object.keys(b.match).length - Object.keys(a.match).length || (a.name < b.name ? -1 : 1)
  );
}

function describe(profile: Profile, conditions: readonly Condition[], winner: Profile | undefined): Candidate {
  const matches = conditions.every(({ holds }) => holds);
  const reasons = conditions.map(({ reason }) => reason);
  if (conditions.length === 0) reasons.push('has no condition: fits every machine');
  if (profile === winner) reasons.push('wins: the first in rank that fits');
  else if (matches && winner !== undefined) reasons.push(`fits, but ${winner.name} ranks higher`);
  return { profile: profile.name, priority: profile.priority, matches, reasons };
}

function conditionsOf({ match }: Profile, facts: MatchFacts): readonly Condition[] {
  const conditions: Condition[] = [];
  const check = (key: string, patterns: readonly string[] | undefined, values: readonly string[]): void => {
    if (patterns === undefined) return;
    const holds = values.some((value) => patterns.some((pattern) => fitsPattern(pattern, value)));
    conditions.push({ holds, reason: sentence(key, patterns, values, holds) });
  };
  check('mac', match.mac?.map(normaliseMac), facts.macs);
  check('uuid', match.uuid, known(facts.uuid));
  check('serial', match.serial, known(facts.serial));
  check('architecture', match.architecture, known(facts.architecture));
  check('vendor', match.vendor, known(facts.vendor));
  check('product', match.product, known(facts.product));
  for (const [label, patterns] of Object.entries(match.labels ?? {}))
    check(`label ${label}`, patterns, known(facts.labels[label]));
  if (match.subnet !== undefined) {
    const { address } = facts;
    const holds = address !== undefined && match.subnet.some((subnet) => isInSubnet(address, subnet));
    conditions.push({ holds, reason: sentence('subnet', match.subnet, known(address), holds) });
  }
  return conditions;
}

function sentence(key: string, patterns: readonly string[], values: readonly string[], holds: boolean): string {
  const wanted = patterns.join(' or ');
  if (values.length === 0) return `${key} is not known, wanted ${wanted}`;
  return `${key} ${values.join(', ')} ${holds ? 'fits' : 'does not fit'} ${wanted}`;
}

function known(value: string | undefined): readonly string[] {
  return value === undefined ? [] : [value];
}

function normaliseMac(pattern: string): string {
  return pattern.toLowerCase().replaceAll('-', ':');
}

/** `*` stands for any text; case does not matter. No regular expression: a pattern can never be slow. */
function fitsPattern(pattern: string, value: string): boolean {
  const parts = pattern.toLowerCase().split('*');
  const text = value.toLowerCase();
  const [first = '', ...rest] = parts;
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let position = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, position);
    if (found < 0) return false;
    position = found + part.length;
  }
  return text.length - last.length >= position && text.endsWith(last);
}

function isInSubnet(address: string, subnet: string): boolean {
  if (!ipaddr.isValid(address) || !ipaddr.isValidCIDR(subnet)) return false;
  const parsed = ipaddr.parse(address);
  const [network, bits] = ipaddr.parseCIDR(subnet);
  return parsed.kind() === network.kind() && parsed.match([network, bits]);
}
