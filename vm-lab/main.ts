// `npm run lab`: the only reader of the lab's command line; owns the run from its first namespace to its last, also when it
// is interrupted or fails.
import { createProgressView } from './progress-view.ts';
import { writeAccessScripts } from './access-scripts.ts';
import { ensureContainerLayout } from './container-image.ts';
import { ensureLabImage, type LabImage } from './image.ts';
import { LabNetwork } from './lab-network.ts';
import { LAB_USAGE, parseLabOptions, type LabRequest } from './lab-options.ts';
import { startPageForwarder } from './page-forwarder.ts';
import { missingForContainerImage, missingForMachines } from './prerequisites.ts';
import { renderAccess, renderOutcome } from './report.ts';
import { listRuns, RunFolder, sweepStaleRuns } from './run-folder.ts';
import { joinFleet } from './scenarios/join-fleet.ts';
import { killServer } from './scenarios/kill-server.ts';
import { upgrade } from './scenarios/upgrade.ts';
import { registryBoot } from './scenarios/registry-boot.ts';
import { holds, type Lab, type ScenarioOutcome } from './scenarios/scenario.ts';

type RunRequest = Extract<LabRequest, { kind: 'run' }>;

async function main(): Promise<number> {
  const request = parseLabOptions(process.argv.slice(2));
  switch (request.kind) {
    case 'help':
      process.stdout.write(LAB_USAGE);
      return 0;
    case 'wrong':
      process.stderr.write(`lab: ${request.reason}\n\n${LAB_USAGE}`);
      return 2;
    case 'stop':
      return stopKeptRuns();
    case 'run':
      return runScenario(request);
  }
}

async function stopKeptRuns(): Promise<number> {
  const kept = listRuns().filter((run) => run.kept);
  for (const run of kept) await run.close();
  process.stdout.write(
    kept.length === 0 ? 'Nothing was left running.\n' : `Stopped: ${kept.map(({ runId }) => runId).join(', ')}\n`,
  );
  return 0;
}

async function runScenario(request: RunRequest): Promise<number> {
  const missing = missingFor(request);
  if (missing.length > 0) {
    process.stderr.write(`lab: cannot run here\n${missing.map((reason) => `  ${reason}\n`).join('')}`);
    return 2;
  }
  const view = createProgressView(process.stdout);
  const image = await ensureLabImage((progress) => {
    view.note(progress);
  });
  const interrupted = listenForInterruption();
  const swept = await sweepStaleRuns();
  if (swept.length > 0) view.note(`removed what ended runs had left behind: ${swept.join(', ')}`);
  const run = RunFolder.create();
  try {
    const network = await LabNetwork.create(run);
    const outcome = await carryOut(request, { network, image, view, signal: interrupted }, image);
    view.end();
    process.stdout.write(`\n${renderOutcome(outcome)}\n`);
    if (request.keep) {
      run.keep();
      process.stdout.write(`\n${await describeAccess(network, outcome)}\n`);
    }
    return holds(outcome) ? 0 : 1;
  } catch (error) {
    view.end();
    if (!interrupted.aborted) throw error;
    process.stderr.write(
      `\nlab: ${interrupted.reason instanceof Error ? interrupted.reason.message : 'ended'}; cleaning up\n`,
    );
    return 130;
  } finally {
    if (!run.kept) await run.close();
  }
}

/** From here on there is something to clean up, so nothing may end this process at once. */
function listenForInterruption(): AbortSignal {
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      interruption.abort(new Error(`ended by ${signal}`));
    });
  }
  process.on('uncaughtException', (error) => {
    interruption.abort(error);
  });
  return interruption.signal;
}

function missingFor({ scenario, firmwares }: RunRequest): readonly string[] {
  return [
    ...missingForMachines(firmwares),
    ...(scenario === 'registry-boot' || scenario === 'upgrade' ? missingForContainerImage() : []),
  ];
}

async function carryOut(request: RunRequest, lab: Lab, image: LabImage): Promise<ScenarioOutcome> {
  const firmware = request.firmwares[0] ?? 'ovmf-pxe';
  switch (request.scenario) {
    case 'join-fleet':
      return joinFleet(lab, request);
    case 'kill-server':
      return killServer(lab, firmware);
    case 'registry-boot': {
      const layout = await ensureContainerLayout(image, (progress) => {
        lab.view.note(progress);
      });
      return registryBoot(lab, { firmware, layout });
    }
    case 'upgrade': {
      const layout = await ensureContainerLayout(image, (progress) => {
        lab.view.note(progress);
      });
      return upgrade(lab, { firmwares: request.firmwares, layout, brief: request.firmwares.length === 1 });
    }
  }
}

async function describeAccess(network: LabNetwork, outcome: ScenarioOutcome): Promise<string> {
  const known = await outcome.muster.client.listMachines();
  const addresses = known.flatMap(({ hostname, address }) =>
    hostname === undefined || address === undefined ? [] : [[hostname, address] as const],
  );
  const scripts = writeAccessScripts(network, outcome, new Map(addresses));
  return renderAccess(outcome, await startPageForwarder(network), scripts);
}

// Success is said last and only by a run that came to its end: whatever else happens is a failure.
process.exitCode = 1;
try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`lab: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
}
