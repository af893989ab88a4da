import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aMac } from '../support/domain-builders.ts';
import { EnrollmentWorld } from '../support/enrollment-world.ts';

const ask = fc.record({ key: fc.integer({ min: 0, max: 5 }), machine: fc.integer({ min: 0, max: 3 }) });

describe('EnrollmentService', () => {
  it('never serves more keys than the token has uses, and leaves each machine one good certificate, in any order at once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(ask, { minLength: 1, maxLength: 12 }),
        async (uses, asks) => {
          const world = new EnrollmentWorld();
          const { token, record } = await world.token({ uses });
          const services = [world.service, world.anotherService()];
          const outcomes = await Promise.all(
            asks.map(({ key, machine }, index) =>
              services[index % 2]!.enroll({
                token,
                csrPem: `csr ${key}`,
                candidate: { macs: [aMac(machine)] },
                facts: {},
                peerAddress: '192.0.2.50',
              }),
            ),
          );
          const served = new Set(
            outcomes.flatMap((outcome) => (outcome.kind === 'enrolled' ? [outcome.certificate.serial] : [])),
          );
          const { uses: burned } = (await world.service.findToken(record.id))!;
          expect(burned).toBe(served.size);
          expect(burned).toBeLessThanOrEqual(uses);
          expect(burned).toBeGreaterThanOrEqual(1);
          const good = await Promise.all([...served].map((serial) => world.service.identify(serial)));
          const holders = good.flatMap((outcome) => (outcome.kind === 'machine' ? [outcome.machine.id] : []));
          expect(new Set(holders).size).toBe(holders.length);
          const enrolled = (await world.machines()).filter(({ state }) => state === 'enrolled');
          expect(new Set(holders)).toEqual(new Set(enrolled.map(({ id }) => id)));
        },
      ),
      { numRuns: 60 },
    );
  });
});
