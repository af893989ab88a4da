import { describe, expect, it } from 'vitest';
import { closestWord } from '../../../src/settings/closest-word.ts';

describe('closestWord', () => {
  it.each([
    ['prot', 'port'],
    ['PORT', 'port'],
    ['maxSession', 'maxSessions'],
    ['uefiStrategie', 'uefiStrategy'],
  ])('takes %s for %s', (word, meant) => {
    expect(closestWord(word, ['port', 'maxSessions', 'uefiStrategy'])).toBe(meant);
  });

  it('guesses nothing where nothing is near', () => {
    expect(closestWord('kernel', ['port', 'maxSessions'])).toBeUndefined();
    expect(closestWord('', [])).toBeUndefined();
  });
});
