import { describe, expect, it } from 'vitest';
import { parseLabOptions } from '../../../vm-lab/lab-options.ts';
import { FIRMWARE_KINDS } from '../../../vm-lab/qemu-arguments.ts';

describe('parseLabOptions', () => {
  it('boots every kind of firmware when nothing is said', () => {
    expect(parseLabOptions([])).toEqual({
      kind: 'run',
      scenario: 'join-fleet',
      firmwares: FIRMWARE_KINDS,
      keep: false,
    });
  });

  it('boots the named kinds', () => {
    expect(parseLabOptions(['--firmware', 'ovmf-http', '--firmware', 'bios-ipxe', '--keep'])).toEqual({
      kind: 'run',
      scenario: 'join-fleet',
      firmwares: ['bios-ipxe', 'ovmf-http'],
      keep: true,
    });
  });

  it.each(['kill-server', 'registry-boot'])('gives %s one machine', (scenario) => {
    expect(parseLabOptions([scenario])).toMatchObject({ scenario, firmwares: ['ovmf-pxe'] });
    const two = [scenario, '--firmware', 'ovmf-pxe', '--firmware', 'ovmf-http'];
    expect(parseLabOptions(two)).toMatchObject({ kind: 'wrong' });
  });

  it.each([[['--nonsense']], [['no-such-scenario']], [['--firmware', 'coreboot']], [['join-fleet', 'kill-server']]])(
    'refuses %j and says why',
    (words) => {
      expect(parseLabOptions(words)).toMatchObject({ kind: 'wrong', reason: expect.stringMatching(/\w/) as string });
    },
  );

  it('knows --stop and --help', () => {
    expect(parseLabOptions(['--stop'])).toEqual({ kind: 'stop' });
    expect(parseLabOptions(['-h'])).toEqual({ kind: 'help' });
  });
});
