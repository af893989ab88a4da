import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.ts';
import { parseSettings, type Environment } from '../../../src/settings/parse-settings.ts';

describe('parseSettings', () => {
  it('gives the defaults for an empty file, a file of comments and an empty section', () => {
    const standard = parse('');
    expect(standard).toMatchObject({ dataDirectory: 'data', interfaces: [], dhcp: { mode: 'proxy', port: 67 } });
    expect(parse('# nothing\n\n  # here\n')).toEqual(standard);
    expect(parse('---\n')).toEqual(standard);
    expect(parse('dhcp:\n  # port: 67\ntftp:\n')).toEqual(standard);
  });

  it('freezes every level', () => {
    const settings = parse('interfaces: [eth0]\n');
    expect([settings, settings.dhcp, settings.interfaces].every((part) => Object.isFrozen(part))).toBe(true);
  });

  it('lets the environment win over the file', () => {
    expect(parse('dhcp: { port: 6767 }\n', { MUSTER_DHCP_PORT: '1067' }).dhcp.port).toBe(1067);
  });

  it('reads numbers, truth values, words and lists from the environment', () => {
    const settings = parse('', {
      MUSTER_API_PORT: '443',
      MUSTER_TFTP_ENABLED: 'false',
      MUSTER_DHCP_UEFI_STRATEGY: 'direct',
      MUSTER_INTERFACES: 'eth0, eth1,',
    });
    expect(settings).toMatchObject({ api: { port: 443 }, tftp: { enabled: false }, dhcp: { uefiStrategy: 'direct' } });
    expect(settings.interfaces).toEqual(['eth0', 'eth1']);
  });

  it('takes the text 4011 as a strategy even without quotes in the environment', () => {
    expect(parse('', { MUSTER_DHCP_UEFI_STRATEGY: '4011' }).dhcp.uefiStrategy).toBe('4011');
  });

  it('names key, value, bounds, default and neighbours of a wrong value', () => {
    expect(failure('dhcp:\n  pxePort: 99999\n')).toBe(
      [
        'muster.yaml: dhcp.pxePort is 99999, but must be a port number from 1 to 65535 (0 takes any free one).',
        'Fix: correct it, or leave it out (default 4011).',
        'Known keys nearby: dhcp.mode, dhcp.port, dhcp.pxePort, dhcp.uefiStrategy',
      ].join('\n'),
    );
  });

  it('tells when a wrong value came from the environment', () => {
    const message = failure('', { MUSTER_HTTP_PORT: 'eighty' });
    expect(message).toContain('environment: MUSTER_HTTP_PORT is "eighty", but must be a port number');
    expect(message).toContain('correct MUSTER_HTTP_PORT, which sets http.port');
  });

  it.each([
    ['dhcp: { pxeport: 4011 }', 'dhcp.pxeport is not a setting.\nFix: did you mean dhcp.pxePort?'],
    ['intrefaces: [eth0]', 'intrefaces is not a setting.\nFix: did you mean interfaces?'],
    ['sessionMinutes: 5', 'sessionMinutes is not a setting.\nFix: did you mean boot.sessionMinutes?'],
    ['zzzzzzzzzzzz: 1', 'zzzzzzzzzzzz is not a setting.\nFix: remove it'],
  ])('suggests the key that was meant: %s', (text, expected) => {
    expect(failure(text)).toContain(expected);
  });

  it('refuses an unknown MUSTER_ variable and suggests the one that was meant', () => {
    const message = failure('', { MUSTER_DHCP_PXEPORT: '4011' });
    expect(message).toContain('MUSTER_DHCP_PXEPORT is not a variable of Muster');
    expect(message).toContain('did you mean MUSTER_DHCP_PXE_PORT?');
  });

  it('leaves variables of others and of the command line alone', () => {
    expect(() => parse('', { PATH: '/bin', MUSTER_TOKEN: 'x', MUSTER_CONFIG: 'y' })).not.toThrow();
  });

  it('lists everything that is wrong at once', () => {
    const message = failure('http: { port: -1 }\nlog: { level: loud }\nnonsense: 1\n');
    expect(message.split('\n\n')).toHaveLength(3);
    expect(message).toContain('log.level is "loud", but must be one of trace, debug');
  });

  it('names line and column of a YAML mistake', () => {
    expect(failure('a: [1\nb: 2\n')).toMatch(/^muster\.yaml: not valid YAML: .*\(2:1\)/);
  });

  it.each([
    ['a list at the top', '- a\n- b\n', 'must hold "key: value" lines'],
    ['a section that is a word', 'dhcp: proxy\n', 'dhcp is "proxy", but must be a section with keys of its own'],
    [
      'a list with a number in it',
      'interfaces: [1]\n',
      'interfaces is [1], but must be a list of network interface names',
    ],
    ['an alias, which could grow without bounds', 'a: &a [x]\nb: *a\n', 'not valid YAML'],
    ['a key that is a property of every object', '__proto__: { x: 1 }\n', '__proto__ is not a setting'],
  ])('refuses %s', (_, text, expected) => {
    expect(failure(text)).toContain(expected);
  });

  it('refuses a section that is a word even when the environment sets one of its keys', () => {
    expect(failure('dhcp: proxy\n', { MUSTER_DHCP_PORT: '67' })).toContain('must be a section');
  });
});

function parse(text: string, environment: Environment = {}) {
  return parseSettings({ name: 'muster.yaml', text }, environment);
}

function failure(text: string, environment: Environment = {}): string {
  try {
    parse(text, environment);
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'invalid-settings' });
    return (error as AppError).message;
  }
  throw new Error('nothing was refused');
}
