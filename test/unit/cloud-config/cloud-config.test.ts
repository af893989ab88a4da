import { describe, expect, it } from 'vitest';
import {
  cloudConfigSchema,
  expectedFiles,
  renderMetaData,
  renderUserData,
} from '../../../src/cloud-config/cloud-config.ts';
import { mergeLayers } from '../../../src/cloud-config/merge.ts';
import { fillPlaceholders, unknownPlaceholders } from '../../../src/cloud-config/placeholders.ts';
import { parseYamlDocument } from '../../../src/cloud-config/yaml-document.ts';

describe('mergeLayers', () => {
  it('merges maps, joins lists, lets the later layer win, and null takes a key away', () => {
    const merged = mergeLayers([
      { hostname: 'a', timezone: 'UTC', runcmd: ['one'], apt: { proxy: 'p', sources: { x: 1 } } },
      { hostname: 'b', timezone: null as unknown as string, runcmd: ['two'], apt: { sources: { y: 2 } } },
    ]);
    expect(merged).toEqual({
      hostname: 'b',
      runcmd: ['one', 'two'],
      apt: { proxy: 'p', sources: { x: 1, y: 2 } },
    });
  });

  it('treats a key called __proto__ as any other', () => {
    const layer = JSON.parse('{"__proto__": {"polluted": true}}') as Record<string, unknown>;
    mergeLayers([{}, layer]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe('cloudConfigSchema', () => {
  it('asks for quotes around a mode, since YAML reads 0644 as a number', () => {
    const parsed = parseYamlDocument(
      'write_files:\n  - path: /etc/x\n    content: y\n    permissions: 0644\n',
      cloudConfigSchema,
    );
    expect(parsed).toMatchObject({
      kind: 'invalid',
      complaints: [{ line: 4, reason: expect.stringContaining('quotes') }],
    });
  });

  it('lets modules pass that it does not know', () => {
    expect(parseYamlDocument('ntp: {enabled: true}\n', cloudConfigSchema)).toMatchObject({ kind: 'value' });
  });
});

describe('renderUserData', () => {
  it('starts with the header that cloud-init looks for and keeps every value its type', () => {
    const config = { hostname: 'yes', write_files: [{ path: '/x', permissions: '0644', content: 'a\nb\n' }] };
    const text = renderUserData(config);
    expect(text.split('\n')[0]).toBe('#cloud-config');
    expect(parseYamlDocument(text, cloudConfigSchema)).toEqual({ kind: 'value', value: config });
  });
});

describe('renderMetaData', () => {
  it('has the instance-id that NoCloud requires', () => {
    expect(renderMetaData({ instanceId: 'm-1', hostname: 'h' })).toBe('instance-id: m-1\nlocal-hostname: h\n');
  });
});

describe('expectedFiles', () => {
  it('names files that are written whole, decoded, the last writer of a path winning', () => {
    const files = expectedFiles({
      write_files: [
        { path: '/a', content: 'old' },
        { path: '/a', content: 'bmV3', encoding: 'b64' },
        { path: '/b', content: 'x', append: true },
        { path: '/c', content: 'x', defer: true },
        { path: '/d', content: 'x', encoding: 'gz+b64' },
      ],
    });
    expect(files.map(({ path, content }) => [path, Buffer.from(content).toString()])).toEqual([['/a', 'new']]);
  });
});

describe('placeholders', () => {
  it('fills muster names at any depth and leaves Jinja and shell variables alone', () => {
    const filled = fillPlaceholders(
      { a: ['{{ muster.hostname }}-{{muster.labels.site}}'], b: '{{ v1.region }} ${HOME}' },
      { hostname: 'h', labels: { site: 's' } },
    );
    expect(filled).toEqual({ a: ['h-s'], b: '{{ v1.region }} ${HOME}' });
  });

  it('names placeholders that no machine could fill', () => {
    expect(unknownPlaceholders({ a: '{{ muster.hostnme }}', b: '{{ muster.labels.x }}' })).toEqual(['muster.hostnme']);
  });
});
