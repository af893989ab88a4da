import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { simulate } from '../support/tftp-simulation.ts';
import type { Fate, Simulation } from '../support/tftp-simulation.ts';

const options = fc.record({
  blksize: fc.constantFrom('8', '16', '512'),
  windowsize: fc.constantFrom('1', '2', '4', '16', '64'),
});
const anyOptions = fc.oneof(options, fc.constant({}), fc.constant({ tsize: '0' }));
const content = fc.uint8Array({ maxLength: 3000, size: 'max' });
const fate = (lossPercent: number): fc.Arbitrary<Fate> =>
  fc.record({
    copies: fc.oneof(
      { weight: lossPercent, arbitrary: fc.constant(0 as const) },
      { weight: 95 - lossPercent, arbitrary: fc.constant(1 as const) },
      { weight: 5, arbitrary: fc.constant(2 as const) },
    ),
    delayMilliseconds: fc.oneof(fc.constant(0), fc.nat({ max: 20 }), fc.nat({ max: 2500 })),
  });
const client = fc.constantFrom('eager' as const, 'once' as const);

describe('a transfer over a bad network', () => {
  it('keeps inside the window and the file, and ends with a reason; what arrived is exact', () => {
    const simulation: fc.Arbitrary<Simulation> = fc.record({
      content,
      options: anyOptions,
      client,
      fates: fc.array(fate(60), { maxLength: 400, size: 'max' }),
    });
    fc.assert(
      fc.property(simulation, (run) => {
        const result = simulate(run);
        expect(result.violations).toEqual([]);
        expect(result.serverEnd?.reason).toBeTruthy();
        expect(Buffer.from(run.content).subarray(0, result.received.length).equals(result.received)).toBe(true);
        if (result.clientDone) expect(result.received.length).toBe(run.content.length);
      }),
      { numRuns: 400 },
    );
  });

  it('completes where one packet in ten is lost', () => {
    const simulation: fc.Arbitrary<Simulation> = fc.record({
      content,
      options: anyOptions,
      client,
      fates: fc.array(fate(10), { maxLength: 150, size: 'max' }),
    });
    fc.assert(
      fc.property(simulation, (run) => {
        // Nine losses in a row are past every patience, and possible: keep to runs of at most three.
        const fates = run.fates.map((one, index) =>
          index % 4 === 0 ? { copies: 1 as const, delayMilliseconds: Math.min(one.delayMilliseconds, 100) } : one,
        );
        const result = simulate({ ...run, fates });
        expect(result).toMatchObject({ clientDone: true, serverEnd: { outcome: 'completed' }, violations: [] });
        expect(Buffer.from(result.received).equals(run.content)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('does not go on sending everything twice after some packets were doubled or overtaken (RFC 1123 §4.2.3.1)', () => {
    const position = fc.record({ at: fc.nat({ max: 60 }), delay: fc.constantFrom(0, 3, 30) });
    fc.assert(
      fc.property(
        fc.array(position, { maxLength: 3 }),
        client,
        fc.constantFrom('1', '4', '16'),
        (doubled, kind, windowsize) => {
          const fates = Array.from({ length: 61 }, (_, index): Fate => {
            const found = doubled.find(({ at }) => at === index);
            return { copies: found === undefined ? 1 : 2, delayMilliseconds: found?.delay ?? 0 };
          });
          const bytes = new Uint8Array(512 * 200 + 1);
          const result = simulate({ content: bytes, options: { windowsize }, client: kind, fates });
          expect(result.blocksSent).toBeLessThanOrEqual(201 + 8 * Number(windowsize));
          expect(result.clientDone).toBe(true);
        },
      ),
    );
  });

  it('carries a file of more than 65 536 blocks over the end of the block numbers', () => {
    const bytes = Uint8Array.from({ length: 8 * 66_000 + 3 }, (_, index) => (index * 31) ^ (index >> 8));
    const result = simulate({
      content: bytes,
      options: { blksize: '8', windowsize: '64' },
      client: 'eager',
      fates: [],
    });
    expect(result).toMatchObject({ clientDone: true, serverEnd: { outcome: 'completed' }, violations: [] });
    expect(Buffer.from(result.received).equals(bytes)).toBe(true);
  });
});
