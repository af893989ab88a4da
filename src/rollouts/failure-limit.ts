// Whether a rollout has had more failures than it may have. Pure; shares are rounded down.
import type { RolloutSheet } from './rollout-sheet.ts';
import { countOf, formatShare } from './share.ts';
import { sayMachines } from './words.ts';

/** The sentence for a halt, or undefined while all limits hold. Machines that ran the image already are not in the sample. */
export function passedLimit({ rollout, waves, failures }: RolloutSheet): string | undefined {
  const { maxFailures, minimumSample } = rollout.spec;
  if (failures <= (rollout.acceptedFailures ?? 0)) return undefined;
  const wave = waves[rollout.wave];
  if (wave !== undefined) {
    const sample = wave.members - wave.skipped;
    const tolerated = sample < minimumSample ? 0 : countOf(maxFailures, sample, 'floor');
    const why =
      sample < minimumSample
        ? `none is tolerated below ${minimumSample}`
        : `${tolerated} tolerated (${formatShare(maxFailures)})`;
    if (wave.failed > tolerated)
      return `in wave ${rollout.wave + 1} of ${waves.length}, ${wave.failed} of ${sayMachines(sample)} failed, ${why}`;
  }
  const tolerated = countOf(maxFailures, rollout.memberCount, 'floor');
  if (failures <= tolerated) return undefined;
  return `${failures} of all ${sayMachines(rollout.memberCount)} failed, ${tolerated} tolerated (${formatShare(maxFailures)})`;
}
