import { describe, expect, it } from 'vitest';
import type { NewBootEvent } from '../../../../src/events/boot-event.ts';
import type { TrustDecision } from '../../../../src/images/trust/trust-policy.ts';
import { TrustRecorder } from '../../../../src/images/trust/trust-recorder.ts';
import { aDigest } from '../../../support/domain-builders.ts';

const REFUSED: TrustDecision = { kind: 'refused', reason: 'it has no signature' };

describe('TrustRecorder', () => {
  it('records a refusal once, however often a waiting machine asks, and again when it changes or comes back', async () => {
    const events: NewBootEvent[] = [];
    let decision: TrustDecision = REFUSED;
    const policy = { decide: () => Promise.resolve(decision) };
    const recorder = new TrustRecorder(policy, { record: (event) => events.push(event) });
    const ask = () => recorder.decide('fleet/os', aDigest(), 'stable');
    for (let time = 0; time < 3; time += 1) expect(await ask()).toEqual(REFUSED);
    expect(events).toEqual([
      {
        kind: 'image-untrusted',
        details: { image: `fleet/os@${aDigest()}`, channel: 'stable', reason: 'it has no signature' },
      },
    ]);
    decision = { kind: 'refused', reason: 'another key' };
    await ask();
    decision = { kind: 'trusted' };
    await ask();
    decision = { kind: 'refused', reason: 'another key' };
    await ask();
    expect(events.map(({ details }) => 'reason' in details && details.reason)).toEqual([
      'it has no signature',
      'another key',
      'another key',
    ]);
  });
});
