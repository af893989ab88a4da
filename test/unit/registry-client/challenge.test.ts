import { describe, expect, it } from 'vitest';
import { parseChallenges } from '../../../src/registry-client/challenge.ts';
import { parseRegistryAddress } from '../../../src/registry-client/registry-address.ts';
import { sha256Digest } from './fake-registry.ts';

describe('parseChallenges (RFC 9110 §11.6.1)', () => {
  it.each([
    ['Basic realm="Muster"', [{ scheme: 'basic', parameters: { realm: 'Muster' } }]],
    ['Basic', [{ scheme: 'basic', parameters: {} }]],
    [
      'Bearer realm="https://auth.example.org/token",service="registry.example.org",scope="repository:a/b:pull,push"',
      [
        {
          scheme: 'bearer',
          parameters: {
            realm: 'https://auth.example.org/token',
            service: 'registry.example.org',
            scope: 'repository:a/b:pull,push',
          },
        },
      ],
    ],
    [
      'bearer Realm = plain , error="a \\"b\\""',
      [{ scheme: 'bearer', parameters: { realm: 'plain', error: 'a "b"' } }],
    ],
    [
      'Negotiate, Basic realm="a, Bearer realm=b", Bearer realm="c"',
      [
        { scheme: 'basic', parameters: { realm: 'a, Bearer realm=b' } },
        { scheme: 'bearer', parameters: { realm: 'c' } },
      ],
    ],
    ['', []],
    ['=, "', []],
  ])('%s', (header, challenges) => {
    expect(parseChallenges(header)).toEqual(challenges);
  });
});

describe('parseRegistryAddress', () => {
  const digest = sha256Digest('x');
  it.each([
    ['docker://registry.example.org/fleet/os', 'registry.example.org', 'fleet/os', { tag: 'latest' }],
    ['docker://localhost:5000/os:v1', 'localhost:5000', 'os', { tag: 'v1' }],
    ['docker://[2001:db8::1]:5000/os:v1', '[2001:db8::1]:5000', 'os', { tag: 'v1' }],
    [`docker://10.0.0.1/os:v1@${digest}`, '10.0.0.1', 'os', { digest }],
  ])('%s', (text, host, repository, reference) => {
    expect(parseRegistryAddress(text)).toEqual({ host, repository, reference });
  });

  it.each([
    'docker://os',
    'fleet/os',
    'docker:///os',
    'docker://h/Os',
    'docker://h/os:',
    'docker://h/os@sha256:1',
    'docker://u:p@h/os',
  ])('%s is none', (text) => {
    expect(parseRegistryAddress(text)).toBeUndefined();
  });
});
