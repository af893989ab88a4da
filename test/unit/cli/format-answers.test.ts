import { describe, expect, it } from 'vitest';
import type { ImageAnswer } from '../../../src/cli/api-answers.ts';
import { formatBanner } from '../../../src/cli/format-banner.ts';
import { formatEvent, sentenceOf } from '../../../src/cli/format-events.ts';
import { formatImage, formatImages, formatLoaders } from '../../../src/cli/format-images.ts';
import { formatProgress, formatProgressEnd } from '../../../src/cli/format-progress.ts';
import { formatTokenRemark, formatTokens } from '../../../src/cli/format-tokens.ts';
import { PLAIN } from '../../../src/cli/style.ts';
import type { BootEvent } from '../../../src/events/boot-event.ts';
import { aMac, anEvent, anImage, aToken, NOON } from '../../support/domain-builders.ts';
import { viewOf } from '../../support/fake-catalogue.ts';

const LAYOUT = { style: PLAIN, columns: undefined };

describe('formatBanner', () => {
  const facts = {
    version: '0.1.0',
    addresses: {
      interfaces: [{ name: 'eth0', address: '192.0.2.2' }],
      dhcp: { port: 67, pxePort: 4011 },
      tftp: { port: 69 },
      http: { port: 8080 },
      api: { port: 8443 },
    },
    settings: { dataDirectory: '/var/lib/muster' },
    settingsFile: '/etc/muster.yaml',
    command: './muster',
    startedInMs: 840,
  };

  it('says what is served where, where the token lies, and what to do next', () => {
    const text = formatBanner(facts, PLAIN);
    for (const part of [
      'Muster 0.1.0 is ready (0.8 s)',
      'eth0 192.0.2.2',
      'udp 67, 4011',
      'udp 69',
      'http://192.0.2.2:8080',
      'https://192.0.2.2:8443',
      '/var/lib/muster/admin-token',
      './muster events --follow',
    ]) {
      expect(text).toContain(part);
    }
  });

  it('says so when a protocol is off and when there is no settings file', () => {
    const addresses = { ...facts.addresses, dhcp: undefined, tftp: undefined };
    const text = formatBanner({ ...facts, addresses, settingsFile: undefined }, PLAIN);
    expect(text).toMatch(/DHCP proxy +off/);
    expect(text).toMatch(/TFTP +off/);
    expect(text).toMatch(/Settings +defaults/);
  });
});

describe('formatEvent', () => {
  it('is one line: time, machine, sentence', () => {
    const event: BootEvent = { ...anEvent({ mac: aMac() }), seq: 1, at: new Date(2026, 0, 1, 9, 8, 7, 6).getTime() };
    const line = formatEvent(event, PLAIN);
    expect(line).toBe('  09:08:07.006  52:54:00:00:00:01   DISCOVER from uefi-pxe (x64-uefi) on eth0\n');
  });

  it('names the kind of an event that only a newer server knows', () => {
    const event = { kind: 'quantum-leap', details: {}, seq: 1, at: NOON } as unknown as BootEvent;
    expect(sentenceOf(event)).toBe('quantum-leap');
  });
});

describe('formatTokens', () => {
  it('tells open, ended, used up and revoked tokens apart', () => {
    const tokens = [
      aToken({ id: 'open', mac: aMac(), labels: { rack: '7' }, note: 'for Ann' }),
      aToken({ id: 'ended', expiresAt: NOON - 60_000 }),
      aToken({ id: 'used', uses: 1 }),
      aToken({ id: 'shut', revokedAt: NOON }),
    ].map((token) => ({ ...token }));
    const text = formatTokens(tokens, NOON, LAYOUT);
    expect(text).toMatch(/open +0\/1 +ends in 15 min +52:54:00:00:00:01 +– +rack=7 +for Ann, by admin/);
    expect(text).toMatch(/ended +0\/1 +ended 1 min ago/);
    expect(text).toMatch(/used +1\/1 +used up/);
    expect(text).toMatch(/shut +0\/1 +revoked/);
  });

  it('remarks on one token in one line', () => {
    expect(formatTokenRemark({ ...aToken() }, NOON, PLAIN)).toBe(
      '  token-1  ends in 15 min, 0 of 1 uses, for any machine\n',
    );
  });
});

describe('formatImages and formatLoaders', () => {
  it('show sizes and command lines', () => {
    expect(formatImages([anAnswer()], NOON + 5000, LAYOUT)).toMatch(
      /debian-12:latest +dddddddddddd +ready +dracut-livenet +381 MiB +5 s ago +debian 12/,
    );
    expect(formatImages([], NOON, LAYOUT)).toContain('muster images import');
    const text = formatImage(anAnswer(), NOON + 5000, LAYOUT);
    expect(text).toMatch(/Kernel +7\.63 MiB +sha256:aaaa/);
    expect(text).toMatch(/Command line +quiet$/m);
  });

  it('say how far a conversion is, and why there is none', () => {
    const { image: _, ...rest } = anAnswer();
    const refusal = { code: 'no-kernel', detail: 'The image has no kernel.' };
    const views: ImageAnswer[] = [
      { ...rest, tags: ['v1', 'v2'], channels: ['stable'], state: 'converting', percent: 43 },
      { ...rest, state: 'refused', refusal },
    ];
    expect(formatImages(views, NOON, LAYOUT)).toMatch(/debian-12:v1, v2, @stable +dddddddddddd +converting 43 %/);
    expect(formatImages(views, NOON, LAYOUT)).toMatch(/refused: no-kernel/);
    expect(formatImage({ ...rest, state: 'refused', refusal }, NOON, LAYOUT)).toMatch(
      /Why +The image has no kernel\.$/m,
    );
  });

  it('mark a loader of a version that was not tested', () => {
    const loader = {
      name: 'ipxe.efi',
      architecture: 'x64-uefi',
      sizeBytes: 850_528,
      package: 'ipxe',
      licence: 'GPL-2.0',
    };
    const text = formatLoaders([{ ...loader, version: 'unknown', tested: false }], LAYOUT);
    expect(text).toMatch(/ipxe\.efi +x64-uefi +831 KiB +untested +GPL-2\.0 +ipxe unknown/);
  });
});

describe('formatProgress', () => {
  it('shows share, amount, rate and what is left', () => {
    const line = formatProgress(
      { label: 'send kernel', doneBytes: 2 ** 20, totalBytes: 2 ** 22, elapsedMs: 1000 },
      PLAIN,
    );
    expect(line).toBe(`  send kernel        ${'━'.repeat(7)}${'─'.repeat(21)}  25%  1.00 MiB  1.00 MiB/s, 3.0 s left`);
  });

  it('is whole for an empty file and never beyond', () => {
    expect(formatProgress({ label: 'x', doneBytes: 0, totalBytes: 0, elapsedMs: 0 }, PLAIN)).toContain('100%');
    expect(formatProgress({ label: 'x', doneBytes: 9, totalBytes: 5, elapsedMs: 1 }, PLAIN)).toContain('100%');
  });

  it('ends with amount, time and rate', () => {
    const line = formatProgressEnd({ label: 'send kernel', doneBytes: 0, totalBytes: 2 ** 20, elapsedMs: 500 }, PLAIN);
    expect(line).toBe('  send kernel        ✓ 1.00 MiB in 0.5 s, 2.00 MiB/s\n');
  });
});

function anAnswer(): ImageAnswer {
  return JSON.parse(JSON.stringify(viewOf(anImage({ commandLine: ['quiet'] })))) as ImageAnswer;
}
