// Which machine on record a token's bearer is. Pure: the service loads what may fit, this judges.
import type { Machine } from '../machines/machine.ts';
import type { TokenRecord } from './enrollment-token.ts';
import { bootSessionOf } from './token-maker.ts';

export type MachineMatch =
  | { readonly kind: 'known'; readonly machine: Machine }
  /** Nobody on record; the token may bring in a new machine. */
  | { readonly kind: 'unknown' }
  | {
      readonly kind: 'refused';
      readonly reason: 'token-wrong-machine' | 'machine-retired' | 'machine-not-approved';
      readonly machine?: Machine;
    };

/** `found` are the machines that share an address or UUID with the bearer, best first. The first rule that fits decides. */
export function matchMachine(found: readonly Machine[], token: TokenRecord): MachineMatch {
  // A retired machine cannot come back by naming another of its network cards first.
  const retired = found.find(({ state }) => state === 'retired');
  if (retired !== undefined) return { kind: 'refused', reason: 'machine-retired', machine: retired };
  const machine = found.find(
    (candidate) => agrees(candidate.uuid, token.uuid) && agrees(candidate.serial, token.serial),
  );
  const [contradicts] = found;
  if (machine === undefined && contradicts !== undefined)
    return { kind: 'refused', reason: 'token-wrong-machine', machine: contradicts };
  const isApproving = bootSessionOf(token) === undefined;
  if (machine === undefined)
    return isApproving ? { kind: 'unknown' } : { kind: 'refused', reason: 'machine-not-approved' };
  if (machine.state === 'discovered' && !isApproving)
    return { kind: 'refused', reason: 'machine-not-approved', machine };
  return { kind: 'known', machine };
}

function agrees(onRecord: string | undefined, bond: string | undefined): boolean {
  return onRecord === undefined || bond === undefined || onRecord === bond;
}
