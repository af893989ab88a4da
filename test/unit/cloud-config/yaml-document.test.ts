import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { formatComplaints, parseYamlDocument } from '../../../src/cloud-config/yaml-document.ts';

const anything = z.unknown();

describe('parseYamlDocument', () => {
  it('reads YAML 1.1 as cloud-init does: yes is true and 0644 is octal', () => {
    expect(parseYamlDocument('a: yes\nb: 0644\n', anything)).toEqual({ kind: 'value', value: { a: true, b: 0o644 } });
  });

  it('leaves y, n and dates text, as PyYAML does (yaml/resolver.py)', () => {
    expect(parseYamlDocument('[y, n, 2026-01-01]', anything)).toEqual({
      kind: 'value',
      value: ['y', 'n', '2026-01-01'],
    });
  });

  it('names line and column of a syntax error', () => {
    const parsed = parseYamlDocument('a: 1\n b: 2\n', anything);
    expect(parsed).toMatchObject({ kind: 'invalid', complaints: [{ line: 2 }] });
  });

  it('names line and column of a value of the wrong kind, however deep', () => {
    const schema = z.object({ users: z.array(z.object({ name: z.string(), groups: z.array(z.string()) })) });
    const parsed = parseYamlDocument('users:\n  - name: a\n    groups: [x]\n  - name: b\n    groups: [y, 7]\n', schema);
    expect(parsed).toMatchObject({ kind: 'invalid', complaints: [{ line: 5, column: 17 }] });
    if (parsed.kind === 'invalid')
      expect(formatComplaints('x.yaml', parsed.complaints)).toMatch(/^x\.yaml:5:17: users\[1\]\.groups\[1\]: /);
  });

  it('points to the nearest node above a key that is missing', () => {
    const schema = z.object({ boot: z.object({ image: z.string() }) });
    expect(parseYamlDocument('name: x\nboot:\n  other: 1\n', schema)).toMatchObject({
      kind: 'invalid',
      complaints: [{ line: 3, column: 3 }],
    });
  });

  it('refuses keys that stand twice', () => {
    expect(parseYamlDocument('a: 1\na: 2\n', anything)).toMatchObject({ kind: 'invalid', complaints: [{ line: 2 }] });
  });

  it('refuses an alias bomb at once', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let level = 1; level < 12; level += 1) {
      const alias = `*a${level - 1}`;
      lines.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => alias).join(', ')}]`);
    }
    expect(parseYamlDocument(lines.join('\n'), anything)).toMatchObject({ kind: 'invalid' });
  });

  it('refuses what is too large or nested too deep', () => {
    expect(parseYamlDocument(`a: ${'x'.repeat(1024 * 1024)}`, anything).kind).toBe('invalid');
    expect(parseYamlDocument('['.repeat(200) + ']'.repeat(200), anything).kind).toBe('invalid');
  });

  it('takes an empty file for an empty map', () => {
    expect(parseYamlDocument('# nothing\n', anything)).toEqual({ kind: 'value', value: {} });
  });
});
