import { describe, expect, it } from 'vitest';
import { formatTimeline, timelineOf } from '../../../src/cli/format-timeline.ts';
import { PLAIN } from '../../../src/cli/style.ts';
import type { BootEvent, NewBootEvent } from '../../../src/events/boot-event.ts';

const START = new Date(2026, 10, 22, 20, 31, 4).getTime();

const A_BOOT: readonly (readonly [number, NewBootEvent])[] = [
  [0, { kind: 'dhcp-discover', details: { client: 'uefi-pxe', architecture: 'x64-uefi', interface: 'eth0' } }],
  [0.01, { kind: 'dhcp-offer', details: { row: 'uefi-pxe-4011', file: '', reason: 'asks on 4011' } }],
  [4, { kind: 'dhcp-discover', details: { client: 'uefi-pxe', architecture: 'x64-uefi', interface: 'eth0' } }],
  [4.1, { kind: 'dhcp-pxe-request', details: { client: 'uefi-pxe', architecture: 'x64-uefi', interface: 'eth0' } }],
  [4.2, { kind: 'dhcp-pxe-ack', details: { row: 'uefi-pxe-4011', file: 'snponly.efi', reason: 'the loader' } }],
  [
    5,
    { kind: 'loader-served', details: { name: 'snponly.efi', transport: 'tftp', sizeBytes: 173_792, durationMs: 500 } },
  ],
  [7, { kind: 'script-served', details: { plan: 'boot-image', reason: 'profile default' } }],
  [8, { kind: 'kernel-served', details: { image: 'debian-12', sizeBytes: 8_000_000, durationMs: 1000 } }],
  [20, { kind: 'squashfs-served', details: { image: 'debian-12', sizeBytes: 160_000_000, durationMs: 4000 } }],
  [40, { kind: 'enrolled', details: { certificateSerial: 'ab12', tokenId: 'tok', notAfter: 0 } }],
  [40, { kind: 'machine-state', details: { from: 'approved', to: 'enrolled', reason: 'joined', by: 'machine' } }],
  [50, { kind: 'config-applied', details: { digest: 'sha256:00', hostname: 'node-1', cloudInit: 'done' } }],
  [62.5, { kind: 'machine-state', details: { from: 'configured', to: 'active', reason: 'is well', by: 'machine' } }],
];

describe('timelineOf', () => {
  it('measures each step from the one before and from the start', () => {
    const steps = timelineOf(events(A_BOOT));
    expect(steps.map(({ step }) => step)).toEqual(
      ['DISCOVER', 'OFFER', 'DISCOVER', 'REQUEST', 'ACK', 'TFTP', 'script', 'kernel', 'squashfs', 'enrolled'].concat([
        'configured',
        'active',
      ]),
    );
    expect(steps.at(-1)).toMatchObject({ sincePreviousMs: 12_500, sinceStartMs: 62_500 });
  });

  it('counts the same event at once as one step, because firmware asks twice', () => {
    const [discover] = A_BOOT;
    const steps = timelineOf(events([discover!, [1, discover![1]], [3, discover![1]]]));
    expect(steps).toHaveLength(1);
    expect(steps[0]).toMatchObject({ times: 3, sinceStartMs: 0 });
  });

  it('puts events in the order of their numbers', () => {
    const steps = timelineOf([...events(A_BOOT)].reverse());
    expect(steps[0]?.step).toBe('DISCOVER');
  });
});

describe('formatTimeline', () => {
  it('shows steps, seconds, amounts with rates, and the total from the first step to active', () => {
    const text = formatTimeline(events(A_BOOT), PLAIN);
    expect(text).toContain('Boot  2026-11-22 20:31:04');
    expect(text).toMatch(/^ {4}5\.0 s {4}\+0\.8 s .*TFTP +loader snponly\.efi by TFTP \(170 KiB, 339 KiB\/s\)$/m);
    expect(text).toMatch(/^ {3}40\.0 s {3}\+20\.0 s {2}▪{12} {2}enrolled/m);
    expect(text).toContain('Total  62.5 s  DISCOVER → active\n');
  });

  it('says how far a boot came that is not through', () => {
    expect(formatTimeline(events(A_BOOT.slice(0, 8)), PLAIN)).toContain(
      'Total  8.0 s  DISCOVER → kernel  (not active yet)',
    );
  });

  it('escapes what a machine wrote', () => {
    const message: NewBootEvent = { kind: 'agent-message', details: { level: 'error', message: 'x\u001b[2J' } };
    expect(formatTimeline(events([[0, message]]), PLAIN)).toContain('agent: x\\u{1b}[2J');
  });

  it('has a sentence for no events at all', () => {
    expect(formatTimeline([], PLAIN)).toContain('No boot on record.');
  });
});

function events(script: readonly (readonly [number, NewBootEvent])[]): readonly BootEvent[] {
  return script.map(([seconds, event], index) => ({ ...event, seq: index + 1, at: START + seconds * 1000 }));
}
