import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchProfile, type MatchFacts } from '../../../src/machines/match-profile.ts';
import { profileSchema, type Profile } from '../../../src/machines/profile.ts';

const aProfile = (name: string, rest: object = {}): Profile =>
  profileSchema.parse({ name, boot: { image: 'debian-12' }, ...rest });

const facts = (rest: Partial<MatchFacts> = {}): MatchFacts => ({ macs: ['52:54:00:00:00:01'], labels: {}, ...rest });

describe('matchProfile', () => {
  it('gives the fitting profile of the highest priority and says why the others not', () => {
    const { winner, candidates } = matchProfile(
      [
        aProfile('low'),
        aProfile('high', { priority: 10, match: { mac: '52-54-00-*' } }),
        aProfile('other', { priority: 20, match: { serial: 'X*' } }),
      ],
      facts({ serial: 'Y1' }),
    );
    expect(winner?.name).toBe('high');
    expect(candidates.map(({ profile, matches }) => [profile, matches])).toEqual([
      ['other', false],
      ['high', true],
      ['low', true],
    ]);
    expect(candidates[0]?.reasons).toEqual(['serial Y1 does not fit X*']);
    expect(candidates[2]?.reasons).toContain('fits, but high ranks higher');
  });

  it('prefers more conditions among equal priorities, then the name', () => {
    const { candidates } = matchProfile(
      [aProfile('b'), aProfile('a'), aProfile('c', { match: { mac: '*' } })],
      facts(),
    );
    expect(candidates.map(({ profile }) => profile)).toEqual(['c', 'a', 'b']);
  });

  it('lets an unknown fact fit no condition', () => {
    expect(matchProfile([aProfile('a', { match: { vendor: '*' } })], facts()).winner).toBeUndefined();
  });

  it('matches subnets by address, labels by key, and any one of several MACs', () => {
    const profile = aProfile('a', { match: { subnet: '10.1.0.0/16', labels: { site: ['x', 'y'] }, mac: 'aa:*' } });
    const fitting = facts({
      macs: ['52:54:00:00:00:01', 'aa:bb:cc:00:00:01'],
      address: '10.1.2.3',
      labels: { site: 'y' },
    });
    expect(matchProfile([profile], fitting).winner?.name).toBe('a');
    expect(matchProfile([profile], { ...fitting, address: '10.2.2.3' }).winner).toBeUndefined();
    expect(matchProfile([profile], { ...fitting, address: 'fd00::1' }).winner).toBeUndefined();
  });

  it('gives the same winner whatever the order of the files', () => {
    const profiles = ['a', 'b', 'c', 'd'].map((name, index) => aProfile(name, { priority: index % 2 }));
    fc.assert(
      fc.property(fc.shuffledSubarray(profiles, { minLength: 4 }), (shuffled) => {
        expect(matchProfile(shuffled, facts()).winner?.name).toBe('b');
      }),
    );
  });
});

describe('profileSchema', () => {
  it('refuses command line words that could become iPXE commands or further words', () => {
    for (const word of ['a b', '${net0/mac}', "it's", 'a"b', 'x\ny', 'a\\b', '#x'])
      expect(profileSchema.safeParse({ name: 'a', boot: { image: 'x', commandLine: [word] } }).success).toBe(false);
    expect(
      profileSchema.safeParse({ name: 'a', boot: { image: 'x', commandLine: ['console=ttyS0,115200n8', 'ds=x;y=z'] } })
        .success,
    ).toBe(true);
  });

  it('refuses keys that it does not know', () => {
    expect(profileSchema.safeParse({ name: 'a', boot: { image: 'x' }, prority: 3 }).success).toBe(false);
  });
});
