// Where each wave of a rollout ends. Pure. A wave is named by the number of machines that have had their turn when it is over.
import { AppError } from '../errors.ts';
import { countOf, formatShare, type Share } from './share.ts';

/**
 * Cumulative: `[1, 10, 50, 100]` of 100 machines. Shares are rounded up, each wave has one machine at least, and the last is
 * everybody; waves that would be empty then are left out. Machines that joined later are all in the last.
 */
export function waveEnds(waves: readonly Share[], memberCount: number, joinedCount = 0): readonly number[] {
  const first = memberCount - joinedCount;
  const ends: number[] = [];
  let end = 0;
  for (const wave of waves) {
    if (end >= first) break;
    end = Math.min(first, Math.max(countOf(wave, first, 'ceil'), end + 1));
    ends.push(end);
  }
  if (memberCount > 0) ends.splice(Math.max(0, ends.length - 1), 1, memberCount);
  return ends;
}

/** Throws where the waves shrink, or where the last one leaves machines out: the message names the value and the fix. */
export function checkWaves(waves: readonly Share[], memberCount: number): void {
  const last = waves.at(-1);
  if (last === undefined)
    throw new AppError('invalid-request', 'waves: there is none; write 100% to take all at once.');
  const list = waves.map(formatShare).join(',');
  waves.forEach((wave, index) => {
    const before = waves[index - 1];
    if (before !== undefined && sizeOf(wave) <= sizeOf(before) && wave.kind === before.kind)
      throw new AppError(
        'invalid-request',
        `waves '${list}': ${formatShare(wave)} comes after ${formatShare(before)}, but each wave counts those before it; make them rise.`,
      );
  });
  const reached = countOf(last, memberCount, 'ceil');
  if (reached < memberCount || (last.kind === 'share' && last.basisPoints < 10_000))
    throw new AppError(
      'invalid-request',
      `waves '${list}': the last one, ${formatShare(last)}, is ${reached} of ${memberCount} machines; end with 100%.`,
    );
}

/** Index of the wave that the machine at this place (from 0) is in. */
export function waveOfPlace(ends: readonly number[], place: number): number {
  const index = ends.findIndex((end) => place < end);
  return index < 0 ? Math.max(0, ends.length - 1) : index;
}

function sizeOf(share: Share): number {
  return share.kind === 'count' ? share.count : share.basisPoints;
}
