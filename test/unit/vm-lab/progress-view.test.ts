import { describe, expect, it } from 'vitest';
import { advanceFleet, failMachine } from '../../../vm-lab/boot-progress.ts';
import { LineView, renderTable, renderTimeline } from '../../../vm-lab/progress-view.ts';
import { aMachine, anEvent, eventsOfAJoin } from './lab-builders.ts';

const kernel = {
  ...anEvent({ kind: 'kernel-served', details: { image: 'lab', sizeBytes: 1, durationMs: 1 } }),
  at: 20_000,
};

describe('renderTable', () => {
  it('has one line for each machine, with the seconds in its stage and in all', () => {
    const lines = renderTable(advanceFleet([aMachine()], kernel), 50_000).split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[1]).toBe('ovmf-pxe-1  OVMF UEFI PXE  ■■■■■····  kernel      30 s   50 s');
  });

  it('says below the table why a machine failed', () => {
    const table = renderTable([failMachine(aMachine(), 'its console shows: kernel panic')], 9_000);
    expect(table).toContain('power on ✗');
    expect(table.split('\n').at(-1)).toBe('ovmf-pxe-1: its console shows: kernel panic');
  });
});

describe('LineView', () => {
  it('writes one line for each change and none while nothing changes', () => {
    const lines: string[] = [];
    const view = new LineView((line) => lines.push(line));
    const machine = aMachine();
    const moved = advanceFleet([machine], kernel);
    for (const fleet of [[machine], [machine], moved, moved]) view.update(fleet);
    expect(lines.map((line) => line.trim())).toEqual([
      '0.0 s  ovmf-pxe-1 (OVMF UEFI PXE): power on',
      '20.0 s  ovmf-pxe-1 (OVMF UEFI PXE): kernel',
    ]);
  });
});

describe('renderTimeline', () => {
  it('gives each stage with the seconds since power-on and since the stage before', () => {
    const [machine] = eventsOfAJoin().reduce(advanceFleet, [aMachine()]);
    const text = renderTimeline(machine ?? aMachine());
    expect(text).toMatch(/^ovmf-pxe-1: OVMF UEFI PXE, 52:54:00:aa:bb:cc, m-0011223344556677: active after [\d.]+ s$/m);
    expect(text).toMatch(/^ +[\d.]+ s {2}enrolled +\+1\.0 s$/m);
  });
});
