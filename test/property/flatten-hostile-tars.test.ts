// Bytes that nobody wrote on purpose: whatever comes, the answer is a tree or a refusal with a reason, never a hang or a defect.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scanLayers } from '../../src/images/flatten/scan-layers.ts';
import {
  aDirectory,
  aFile,
  aHardLink,
  aSymlink,
  gnuLongName,
  layerOf,
  paxEntry,
  rawEntry,
  rawTar,
  withChecksum,
} from '../support/layer-builders.ts';

const sparse = { 'GNU.sparse.size': '4096', 'GNU.sparse.map': '0,512,1024,88', 'GNU.sparse.name': 's' };
const TAR = rawTar(
  aDirectory('d/'),
  aFile('d/f', 'x'.repeat(700), { pax: { 'SCHILY.xattr.user.a': 'b', mtime: '1.5' } }),
  gnuLongName('d/'.repeat(60)),
  rawEntry(aSymlink('s', 'd')),
  aHardLink('h', 'd/f'),
  aFile('s', 'y'.repeat(600), { pax: sparse }),
  paxEntry([['path', 'last']]),
  rawEntry(aFile('x', 'end')),
);

const change = fc.record({ at: fc.integer({ min: 0, max: TAR.length - 1 }), byte: fc.integer({ min: 0, max: 255 }) });

describe('a tar with changed bytes', () => {
  it('gives a tree or a refusal, in pieces of any size, also where each header claims to be right', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { minLength: 1, maxLength: 8 }),
        fc.boolean(),
        fc.integer({ min: 0, max: TAR.length }),
        fc.integer({ min: 1, max: 3000 }),
        async (changes, mend, length, pieceBytes) => {
          const bytes = Buffer.from(TAR);
          for (const { at, byte } of changes) {
            bytes.writeUInt8(byte, at);
            const block = at - (at % 512);
            if (mend && bytes.toString('latin1', block + 257, block + 262) === 'ustar')
              withChecksum(bytes.subarray(block, block + 512));
          }
          const whole = await scanLayers([layerOf(bytes.subarray(0, length))]);
          const pieces = await scanLayers([layerOf(bytes.subarray(0, length), pieceBytes)]);
          expect(pieces.kind === 'refused' ? pieces.reason : pieces).toEqual(
            whole.kind === 'refused' ? whole.reason : whole,
          );
        },
      ),
      { numRuns: 2000 },
    );
  });
});
