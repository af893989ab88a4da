// A UEFI machine goes from power-on to active member of the fleet, and the server is killed on the way: the promise of the
// whole program, kept by the real firmware, the real image, the real agent and the real server.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureLabImage } from '../../vm-lab/image.ts';
import { LabNetwork } from '../../vm-lab/lab-network.ts';
import { missingForMachines } from '../../vm-lab/prerequisites.ts';
import { LineView } from '../../vm-lab/progress-view.ts';
import { renderOutcome } from '../../vm-lab/report.ts';
import { RunFolder, sweepStaleRuns } from '../../vm-lab/run-folder.ts';
import { killServer } from '../../vm-lab/scenarios/kill-server.ts';
import { holds, type ScenarioOutcome } from '../../vm-lab/scenarios/scenario.ts';

/** The image is built when it is not there yet, which takes minutes. */
const LIMIT_MILLISECONDS = 25 * 60 * 1_000;
const missing = missingForMachines(['ovmf-pxe']);
const title = missing.length === 0 ? 'vm boot' : `vm boot [skipped: ${missing.join('; ')}]`;

describe.skipIf(missing.length > 0)(title, () => {
  const interruption = new AbortController();
  const view = new LineView((line) => {
    console.log(line);
  });
  let run: RunFolder | undefined;
  let outcome: ScenarioOutcome | undefined;

  beforeAll(async () => {
    const image = await ensureLabImage((progress) => {
      view.note(progress);
    });
    await sweepStaleRuns();
    run = RunFolder.create();
    const network = await LabNetwork.create(run);
    outcome = await killServer({ network, image, view, signal: interruption.signal }, 'ovmf-pxe');
    console.log(renderOutcome(outcome));
  }, LIMIT_MILLISECONDS);

  afterAll(async () => {
    interruption.abort();
    await run?.close();
  });

  it('brings a machine from OVMF PXE to active, with certificate, host name, user, SSH key, file and command', () => {
    const checks = outcome?.machines.flatMap((machine) => machine.checks) ?? [];
    expect(checks.length).toBeGreaterThan(0);
    expect(checks.filter((check) => !check.holds)).toEqual([]);
  });

  it('lets the machine go on with the same identity when the server is killed (SIGKILL) between enrollment and config', () => {
    expect(outcome?.checks.filter((check) => !check.holds)).toEqual([]);
    expect(outcome !== undefined && holds(outcome)).toBe(true);
  });
});
