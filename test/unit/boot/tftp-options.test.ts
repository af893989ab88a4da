import { describe, expect, it } from 'vitest';
import { planTransfer } from '../../../src/boot/tftp-options.ts';
import { someLimits } from '../../support/tftp-builders.ts';

function plan(options: Record<string, string>, sizeBytes = 10_000, limits = someLimits()) {
  return planTransfer(new Map(Object.entries(options)), sizeBytes, limits);
}

describe('planTransfer', () => {
  it('answers no option with no OACK: 512-byte blocks, one at a time (RFC 2347)', () => {
    expect(plan({})).toMatchObject({ optionAck: undefined, blockSize: 512, windowSize: 1, sizeAsked: false });
  });

  it('answers what EDK2 asks, in its order, and nothing else: an unrequested option is PXE-E23', () => {
    const { optionAck } = plan({ tsize: '0', blksize: '1468', windowsize: '4' });
    expect([...(optionAck ?? [])]).toEqual([
      ['tsize', '10000'],
      ['blksize', '1468'],
      ['windowsize', '4'],
    ]);
  });

  it('leaves an unknown option out (RFC 2347)', () => {
    expect(plan({ multicast: '', rollover: '0' }).optionAck).toBeUndefined();
  });

  it('never answers a larger block size than asked, and none that the MTU would fragment (RFC 2348)', () => {
    expect(plan({ blksize: '1432' }).blockSize).toBe(1432);
    expect(plan({ blksize: '65464' })).toMatchObject({ blockSize: 1468, optionAck: new Map([['blksize', '1468']]) });
  });

  it('accepts a block size below 512, down to 8 (RFC 2348)', () => {
    expect(plan({ blksize: '8' })).toMatchObject({ blockSize: 8, optionAck: new Map([['blksize', '8']]) });
    expect(plan({ blksize: '7' })).toMatchObject({ blockSize: 512, optionAck: undefined });
  });

  it('limits the window to the configured blocks and bytes (RFC 7440: answer at most what was asked)', () => {
    expect(plan({ windowsize: '16' }).windowSize).toBe(16);
    expect(plan({ windowsize: '65535' }).optionAck).toEqual(new Map([['windowsize', '64']]));
    const limits = someLimits({ maximumBlockSize: 65_464, maximumWindowBytes: 256 * 1024 });
    expect(plan({ windowsize: '64', blksize: '65464' }, 10_000, limits).windowSize).toBe(4);
    expect(plan({ windowsize: '0' }).optionAck).toBeUndefined();
  });

  it('echoes a timeout exactly and waits so long, or leaves it out: EDK2 refuses any other (RFC 2349)', () => {
    expect(plan({ timeout: '5' })).toMatchObject({
      optionAck: new Map([['timeout', '5']]),
      limits: { firstWaitMilliseconds: 5000 },
    });
    for (const timeout of ['0', '60', '256', 'soon', '-1', '1.5', '']) {
      expect(plan({ timeout }), timeout).toMatchObject({
        optionAck: undefined,
        limits: { firstWaitMilliseconds: 1000 },
      });
    }
  });

  it.each([
    [0, 1],
    [511, 1],
    [512, 2],
    [513, 2],
    [1024, 3],
  ])(
    'ends a file of %i bytes with a block shorter than 512, empty if need be: block %i (RFC 1350 §6)',
    (size, last) => {
      expect(plan({}, size).lastBlock).toBe(last);
    },
  );
});
